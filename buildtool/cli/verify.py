"""``gpubuild verify``: does it really work on this device?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stderr_console, stdout_console
from buildtool.errors import InvalidInputError

if TYPE_CHECKING:
    from buildtool.verify.model import Options, Report, Timeouts

EPILOG = """
[bold]Examples[/bold]

gpubuild verify dist/  (the newest wheels of a directory)

gpubuild verify dist/ --full --model smollm2  (every operation, and a real model)

gpubuild verify dist/ --full --baseline ~/llama.cpp/build  (speed beside an upstream build's)

gpubuild verify dist/ --offline --find-links wheels/ --system-site-packages  (a machine without network)

[bold]Exit codes[/bold]: 0 proved, 13 a wrong answer, 14 not proved on a device.
"""
LONGEST_S = 1_000_000  # a socket waits at most 2^31 milliseconds
_STYLES = {"passed": "green", "failed": "bold red", "not-proved": "yellow", "loader-proved": "yellow", "skipped": "dim"}


def verify(  # noqa: PLR0913, PLR0917 - one parameter per command-line option
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="WHEEL|DIR", help="Wheels, a directory of wheels, or a build's bin directory."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="Every operation on every device, or the essential ones.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="A GGUF file to prove beside the tiny model, or 'smollm2'.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Directory of an upstream build's executables, to measure beside ours.")
    ] = None,
    ops: Annotated[
        str | None, typer.Option(help="Operations to test, as test-backend-ops -o takes them: ADD,MUL_MAT.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use no package index, only --find-links.")] = False,
    find_links: Annotated[
        list[Path] | None, typer.Option(help="Directory with wheels of the dependencies; repeatable.")
    ] = None,
    system_site_packages: Annotated[
        bool, typer.Option("--system-site-packages", help="Packages that are installed already count.")
    ] = False,
    timeout: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP=SECONDS", help="Time limit of install, modules, devices, ops, model or bench."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the environment behind.")] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="PUBLIC_KEY", help="Demand that the wheels are signed with this key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Install wheels into a throw-away environment and prove that they work on this machine's devices."""
    from buildtool.verify.model import Options
    from buildtool.verify.run import require
    from buildtool.verify.run import verify as prove

    options = Options(
        mode="full" if full else "quick",
        model=model,
        baseline=str(baseline) if baseline else None,
        ops=ops,
        offline=offline,
        find_links=tuple(str(path.absolute()) for path in find_links or ()),
        system_site_packages=system_site_packages,
        keep=keep,
        key=str(key) if key else None,
        timeouts=_timeouts(timeout or []),
    )
    report = _watched(prove, paths or [Path("dist")], options)
    if as_json:
        print_json(report)
        raise typer.Exit(report.exit_code)
    _render(report)
    require(report)


def _timeouts(wishes: list[str]) -> Timeouts:
    import msgspec

    from buildtool.verify.model import Timeouts

    limits: dict[str, float] = {}
    for wish in wishes:
        step, _, seconds = wish.partition("=")
        try:
            limits[step] = float(seconds)
        except ValueError:
            limits[step] = 0.0
        if step not in Timeouts.__struct_fields__ or not 0 < limits[step] <= LONGEST_S:
            what = f"--timeout {wish!r} is not STEP=SECONDS."
            hint = f"Steps: {', '.join(Timeouts.__struct_fields__)}; at most {LONGEST_S} seconds."
            raise InvalidInputError(what, hint=hint)
    return msgspec.structs.replace(Timeouts(), **limits)


def _watched(prove: Callable[..., Report], paths: list[Path], options: Options) -> Report:
    """Show the step that runs, on a terminal."""
    if not sys.stderr.isatty():
        return prove(paths, options)
    with stderr_console().status("preparing") as status:
        return prove(paths, options, lambda title: status.update(f"proving: {title}"))


def _render(report: Report) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("verdict")
    table.add_column("proof")
    table.add_column("s", justify="right")
    table.add_column("found", overflow="fold")
    for step in report.steps:
        style = _STYLES[step.verdict]
        verdict = f"[{style}]{step.verdict}[/{style}]"
        table.add_row(verdict, step.title, f"{step.seconds:.1f}", escape(step.summary))
    console.print(table)
    for step in report.steps:
        if step.verdict in {"failed", "not-proved", "loader-proved"} and step.evidence:
            console.print(f"\n{escape(step.title)}:", *(f"  {escape(line)}" for line in step.evidence), sep="\n")
    if report.environment:
        console.print(f"\nkept: {escape(report.environment)}")
