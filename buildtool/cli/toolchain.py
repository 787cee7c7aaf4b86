"""``gpubuild toolchain``: compilers that gpubuild fetched, and those it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stderr_console

if TYPE_CHECKING:
    from buildtool.compat.model import PlanCompiler
    from buildtool.toolchain import InstalledToolkit

SCHEMA = 1
EPILOG = (
    "Examples: [bold]gpubuild toolchain list[/bold] · "
    '[bold]gpubuild toolchain install "cuda==13.0.*"[/bold] · '
    "[bold]gpubuild toolchain show 13.0.88[/bold] · [bold]gpubuild toolchain remove 13.0.88[/bold]"
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Name = Annotated[str, typer.Argument(help="A version such as 13.0.88, or a name from the list.")]

toolchain_app = typer.Typer(
    help="List, install, show and remove GPU compilers; no root needed.", no_args_is_help=True, epilog=EPILOG
)


@toolchain_app.command("list")
def list_toolkits(
    as_json: Json = False,
    available: Annotated[bool, typer.Option("--available", help="Show what can be installed instead.")] = False,
) -> None:
    """Show the toolkits in gpubuild's store and those installed on this machine."""
    if available:
        _list_available(as_json=as_json)
        return
    from buildtool.probe import detect
    from buildtool.toolchain import installed

    fetched, system = installed(), detect().toolkits
    if as_json:
        print_json({"schema": SCHEMA, "toolkits": fetched, "system": system})
        return
    rows = [(f"{t.kind} {t.version}", _size(t.bytes), t.origin, t.path) for t in fetched]
    rows += [(f"{t.kind} {t.version or '?'}", "", "installed on this machine", t.path) for t in system]
    if not rows:
        typer.echo('No toolkit yet. Fetch one: gpubuild toolchain install "cuda==13.*"')
        return
    _table(("Toolkit", "Size", "Origin", "Path"), rows)


def _list_available(*, as_json: bool) -> None:
    from buildtool.toolchain import available, platform_name

    sets = available(platform_name())
    if as_json:
        print_json({"schema": SCHEMA, "platform": platform_name(), "available": sets})
        return
    if not sets:
        typer.echo(f"No toolkit can be fetched for {platform_name()}.")
        return
    _table(("Toolkit", "Release"), [(f"cuda {s.version}", f"CUDA {s.meta}") for s in sets])


@toolchain_app.command("install", epilog='Example: [bold]gpubuild toolchain install "cuda==13.0.*"[/bold]')
def install_toolkit(
    spec: Annotated[str, typer.Argument(help='What to install, such as "cuda==13.0.*".')], as_json: Json = False
) -> None:
    """Fetch a toolkit from the package registry into gpubuild's store."""
    from buildtool.cli.progress import Reporter
    from buildtool.toolchain import choose, install, platform_name

    choose(spec, platform_name())
    with Reporter(quiet=as_json) as reporter:
        toolkit, _ = install(spec, _compiler(), progress=reporter.downloads())
    if as_json:
        print_json({"schema": SCHEMA, "toolkit": toolkit})
        return
    typer.echo(f"{toolkit.kind} {toolkit.version} is ready ({_size(toolkit.bytes)}): {toolkit.path}")


@toolchain_app.command("show", epilog="Example: [bold]gpubuild toolchain show 13.0.88[/bold]")
def show_toolkit(name: Name, as_json: Json = False) -> None:
    """Show one toolkit of the store: what it is made of, where it lies."""
    from buildtool.toolchain import show

    toolkit = show(name)
    if as_json:
        print_json({"schema": SCHEMA, "toolkit": toolkit})
        return
    typer.echo("\n".join(_lines(toolkit)))


@toolchain_app.command("remove", epilog="Example: [bold]gpubuild toolchain remove 13.0.88[/bold]")
def remove_toolkit(name: Name, as_json: Json = False) -> None:
    """Delete a toolkit from the store and give its space back."""
    from buildtool.toolchain import remove

    toolkit = remove(name)
    if as_json:
        print_json({"schema": SCHEMA, "removed": toolkit})
        return
    stderr_console().print(f"Removed {toolkit.name}: {_size(toolkit.bytes)} are free again.", markup=False)


def _compiler() -> PlanCompiler:
    from buildtool.compat.model import PlanCompiler
    from buildtool.errors import MissingToolError
    from buildtool.probe import detect
    from buildtool.toolchain import COMPILER_HINT

    for found in detect().host_compilers:
        if found.cc:
            return PlanCompiler(family=found.family, version=found.version, cxx=found.cxx, cc=found.cc)
    what = "A toolkit needs a C++ compiler beside it, and none was found."
    raise MissingToolError(what, hint=COMPILER_HINT)


def _lines(toolkit: InstalledToolkit) -> list[str]:
    facts = {
        "name": toolkit.name,
        "origin": toolkit.origin,
        "installed": toolkit.created,
        "size": f"{_size(toolkit.bytes)} in {toolkit.files} files",
        "path": toolkit.path,
    }
    rows = [f"{toolkit.kind} {toolkit.version}", *(f"  {name:10} {value}" for name, value in facts.items())]
    return [*rows, "  wheels", *(f"    {wheel}" for wheel in toolkit.wheels)]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _size(count: int) -> str:
    from buildtool.store.storage import readable_size

    return readable_size(count)
