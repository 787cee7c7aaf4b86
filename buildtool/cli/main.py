"""The ``gpubuild`` command: one thin module per subcommand; rooms are imported only when a command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from buildtool import __version__
from buildtool.cli.console import may_colour, print_error
from buildtool.errors import GpubuildError

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


def main() -> None:
    """Run the command line; every failure leaves through one door, without a traceback."""
    sys.exit(_guarded())


def _guarded() -> int:
    as_json = "--json" in sys.argv[1:]
    try:
        result = app(standalone_mode=False)
    except GpubuildError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("Stopped.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        show = getattr(error, "show", None)  # a usage error of the command-line library
        if show is None:
            if os.environ.get("GPUBUILD_DEBUG"):
                raise
            print_error(_unexpected(error), as_json=as_json)
            return GpubuildError.exit_code
        show()
        return int(getattr(error, "exit_code", 2))
    return result if isinstance(result, int) else 0


def _unexpected(error: Exception) -> GpubuildError:
    if isinstance(error, OSError) and error.filename:
        return GpubuildError(f"{error.strerror}: {error.filename}")
    return GpubuildError(
        f"gpubuild met a case it does not handle: {type(error).__name__}: {error}",
        hint="Run again with GPUBUILD_DEBUG=1 to see where, and please report it.",
    )


from buildtool.cli.inspect import EPILOG as INSPECT_EPILOG  # noqa: E402
from buildtool.cli.inspect import inspect  # noqa: E402

app.command("inspect", epilog=INSPECT_EPILOG)(inspect)

from buildtool.cli.thin import EPILOG as THIN_EPILOG  # noqa: E402
from buildtool.cli.thin import thin  # noqa: E402

app.command("thin", epilog=THIN_EPILOG)(thin)

from buildtool.cli.retarget import EPILOG as RETARGET_EPILOG  # noqa: E402
from buildtool.cli.retarget import retarget  # noqa: E402

app.command("retarget", epilog=RETARGET_EPILOG)(retarget)

from buildtool.cli.verify import EPILOG as VERIFY_EPILOG  # noqa: E402
from buildtool.cli.verify import verify  # noqa: E402

app.command("verify", epilog=VERIFY_EPILOG)(verify)

from buildtool.cli.detect import EPILOG as DETECT_EPILOG  # noqa: E402
from buildtool.cli.detect import detect  # noqa: E402

app.command("detect", epilog=DETECT_EPILOG)(detect)

from buildtool.cli.toolchain import toolchain_app  # noqa: E402

app.add_typer(toolchain_app, name="toolchain")

from buildtool.cli.patch import patch_app  # noqa: E402

app.add_typer(patch_app, name="patch")

from buildtool.cli.plan import EPILOG as PLAN_EPILOG  # noqa: E402
from buildtool.cli.plan import plan  # noqa: E402

app.command("plan", epilog=PLAN_EPILOG)(plan)

from buildtool.cli.wizard import EPILOG as WIZARD_EPILOG  # noqa: E402
from buildtool.cli.wizard import wizard  # noqa: E402

app.command("wizard", epilog=WIZARD_EPILOG)(wizard)

from buildtool.cli.compile import EPILOG as COMPILE_EPILOG  # noqa: E402
from buildtool.cli.compile import compile_command  # noqa: E402

app.command("compile", epilog=COMPILE_EPILOG)(compile_command)

from buildtool.cli.doctor import EPILOG as DOCTOR_EPILOG  # noqa: E402
from buildtool.cli.doctor import doctor  # noqa: E402

app.command("doctor", epilog=DOCTOR_EPILOG)(doctor)
