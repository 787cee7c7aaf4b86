"""``gpubuild install``: the right pair of wheels from an index, for the machine in front of you."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stderr_console
from buildtool.cli.machine import HostOption, find_host

if TYPE_CHECKING:
    from buildtool.install import Choice, Target

EPILOG = """
[bold]Examples[/bold]

  gpubuild install --index dist                               from a folder

  gpubuild install --index http://wheels.lan:8000             from a server on the network

  gpubuild install --index dist --dry-run                     what would be installed, and why

  gpubuild install --index dist --backend vulkan --python .venv

[bold]Exit codes[/bold]: 3 no such backend, 4 nothing fits, 7 a file was tampered with, 13 the pair does not work.
"""


def install(
    index: Annotated[str, typer.Option("--index", metavar="DIR|URL", help="Where the wheels are.")] = "dist",
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="cuda, cuda13, rocm, vulkan, cpu. Default: auto.")
    ] = "auto",
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="PATH", help="Interpreter or environment; the current one if left out."),
    ] = None,
    uv: Annotated[bool, typer.Option("--uv", help="Install with uv instead of pip.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Choose and explain, install nothing.")] = False,
    host_file: HostOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Choose the runtime and backend that serve this machine's GPU from an index, and install them."""
    from buildtool.cli.progress import Reporter
    from buildtool.errors import InvalidInputError
    from buildtool.install import choose, environment, open_shelf, put
    from buildtool.install.put import command, has_vulkan

    if host_file is not None and not dry_run:
        what = "Nothing can be installed on a machine that is described in a file."
        raise InvalidInputError(what, hint="Add --dry-run to see what would be chosen for it.")
    target = environment(python)
    host = find_host(host_file)
    with open_shelf(index) as shelf, Reporter(quiet=as_json) as reporter:
        vulkan = host_file is not None or has_vulkan()
        choice = choose(shelf.catalogue, host, target, backend.lower(), vulkan=vulkan)
        if dry_run:
            _show(choice, target, dry_run=True, as_json=as_json)
            return
        with tempfile.TemporaryDirectory(prefix="gpubuild-install-") as name:
            files = shelf.fetch(choice.wheels, Path(name), reporter.downloads())
            argv = command(target, "uv" if uv else "pip", tuple(map(str, files)), shelf.installer_options)
            reporter.note(f"{' '.join(argv[:4])} ... {shlex.join(wheel.filename for wheel in choice.wheels)}")
            put(target, argv, choice.backend.family if choice.backend is not None else "")
    _show(choice, target, dry_run=False, as_json=as_json)


def _show(choice: Choice, target: Target, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"schema": 1, "installed": not dry_run, "python": target.python, "choice": choice})
        return
    typer.echo(f"{'Would install' if dry_run else 'Installed'} into {target.python}:")
    for wheel in choice.wheels:
        typer.echo(f"  {wheel.filename}")
    typer.echo(f"because {choice.reason}")
    for warning in choice.warnings:
        typer.echo(f"note: {warning}")
    console = stderr_console()
    for one in choice.objections:
        console.print(f"not {one.wheel}: {one.why}", markup=False, soft_wrap=True)
    if not dry_run:
        console.print("Try it: llama-server -m model.gguf", markup=False)
