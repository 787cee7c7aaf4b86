"""``gpubuild thin``: the same library with the device code of some targets only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from buildtool.cli.console import print_json, stderr_console, stdout_console

EPILOG = """
[bold]Examples[/bold]

gpubuild thin libggml-hip.so --keep gfx1030 --out thin/libggml-hip.so

gpubuild thin /opt/rocm/lib/rocblas --keep gfx1030,gfx1100 --out rocblas-thin

gpubuild thin libcublasLt.so.13 --keep sm_90 --out thin/libcublasLt.so.13
"""
SCREEN = 12


def thin(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A library, executable, bundle, or a folder.")],
    keep: Annotated[
        list[str], typer.Option("--keep", metavar="TARGET", help="Target of a device to keep code for; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DST", help="Where the result goes; must not exist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Leave out the device code that none of the given targets needs, and give its space back."""
    from buildtool import codeobj
    from buildtool.cli.progress import Reporter

    with Reporter(quiet=as_json) as reporter:
        result = codeobj.thin(source, keep, out, progress=reporter.downloads())
    if as_json:
        print_json(result._asdict())
        return
    print_notes(result.notes)
    lost = f", {counted(len(result.dropped), 'file')} left out" if result.dropped else ""
    sizes = saved(result.bytes_before, result.bytes_after)
    stdout_console().print(f"{out}: {sizes}{lost}", markup=False)


def counted(number: int, thing: str) -> str:
    """Say how many there are: ``1 file``, ``2 files``."""
    return f"{number} {thing}{'s' * (number != 1)}"


def saved(before: int, after: int) -> str:
    """Say what became of a size, in words."""
    from buildtool.store.storage import readable_size

    return f"{readable_size(before)} -> {readable_size(after)}"


def print_notes(notes: tuple[str, ...]) -> None:
    """Print what is special, at most a screenful of it."""
    console = stderr_console()
    for note in notes[:SCREEN]:
        console.print(f"note: {note}", markup=False)
    if len(notes) > SCREEN:
        console.print(f"note: and {len(notes) - SCREEN} more; --json lists all", markup=False)
