"""The ``gpubuild`` command: one thin module per subcommand; rooms are imported only when a command runs."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from buildtool import __version__
from buildtool.cli import compile as compiling
from buildtool.cli import (
    detect,
    doctor,
    inspect,
    install,
    matrix,
    matrix_run,
    plan,
    reproduce,
    retarget,
    thin,
    verify,
    wizard,
)
from buildtool.cli.cache import cache_app
from buildtool.cli.console import may_colour, print_error
from buildtool.cli.index import index_app
from buildtool.cli.ollama_change import ollama_app
from buildtool.cli.patch import patch_app
from buildtool.cli.toolchain import toolchain_app
from buildtool.errors import GpubuildError, InvalidInputError, StorageError

INTERRUPTED = 130

app = typer.Typer(
    name="gpubuild",
    help="From any GPU, on any machine, to a verified llama.cpp backend for exactly that GPU.",
    epilog=(
        "Start with: [bold]gpubuild wizard[/bold]; or [bold]gpubuild detect[/bold], then "
        "[bold]gpubuild plan[/bold], then [bold]gpubuild compile[/bold]."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gpubuild {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    context.color = None if may_colour() else False


app.command("detect", epilog=detect.EPILOG)(detect.detect)
app.command("wizard", epilog=wizard.EPILOG)(wizard.wizard)
app.command("plan", epilog=plan.EPILOG)(plan.plan)
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)
app.command("compile", epilog=compiling.EPILOG)(compiling.compile_command)
app.command("verify", epilog=verify.EPILOG)(verify.verify)
app.command("install", epilog=install.EPILOG)(install.install)
app.command("inspect", epilog=inspect.EPILOG)(inspect.inspect)
app.command("reproduce", epilog=reproduce.EPILOG)(reproduce.reproduce)
app.command("retarget", epilog=retarget.EPILOG)(retarget.retarget)
app.command("thin", epilog=thin.EPILOG)(thin.thin)
app.add_typer(index_app, name="index")
matrix.matrix_app.command("run", epilog=matrix_run.EPILOG)(matrix_run.run_command)
app.add_typer(matrix.matrix_app, name="matrix")
app.add_typer(cache_app, name="cache")
app.add_typer(patch_app, name="patch")
app.add_typer(toolchain_app, name="toolchain")
app.add_typer(ollama_app, name="ollama")


class _ToldToStop(SystemExit):
    """A signal asked gpubuild to end; what it started is ended on the way out, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise _ToldToStop(number)


def main() -> None:
    """Run the command line; every failure leaves through one door, without a traceback."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _stop)
    sys.exit(_guarded())


def _guarded() -> int:
    as_json = "--json" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name that the encoding lacks is printed as escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(standalone_mode=False)
    except GpubuildError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except _ToldToStop as told:
        typer.echo(f"Stopped by {signal.Signals(told.number).name}.", err=True)
        return 128 + told.number
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("Stopped.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the one door
        return _failed(error, as_json=as_json)
    return result if isinstance(result, int) else 0


def _failed(error: Exception, *, as_json: bool) -> int:
    """Tell what no room expected; return the exit code."""
    show = getattr(error, "show", None)  # a usage error of the command-line library
    if show is None:
        if os.environ.get("GPUBUILD_DEBUG"):
            raise error
        told = _unexpected(error)
        print_error(told, as_json=as_json)
        return told.exit_code
    show()
    return int(getattr(error, "exit_code", 2))


def _unexpected(error: Exception) -> GpubuildError:
    if isinstance(error, OSError) and error.errno is not None:
        from buildtool.store.storage import BAD_PATH, FULL, REFUSED

        kind = StorageError if error.errno in FULL | REFUSED else GpubuildError
        kind = InvalidInputError if error.errno in BAD_PATH else kind
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
        return kind(": ".join(filter(None, [error.strerror, where])))
    return GpubuildError(
        f"gpubuild met a case it does not handle: {type(error).__name__}: {error}",
        hint="Run again with GPUBUILD_DEBUG=1 to see where, and please report it.",
    )
