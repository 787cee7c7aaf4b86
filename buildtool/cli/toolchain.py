"""``gpubuild toolchain``: compilers that gpubuild fetched, and those it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, print_note, stderr_console

if TYPE_CHECKING:
    from buildtool.compat.model import PlanCompiler
    from buildtool.compat.pypi_sets import CudaSet
    from buildtool.compat.rootfs import RootfsRow
    from buildtool.probe.model import Offered
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
    from buildtool.build.uses import builds_with
    from buildtool.probe import detect
    from buildtool.toolchain import installed

    fetched, system = installed(), detect().toolkits
    if as_json:
        uses = {toolkit.name: builds_with(toolkit.path) for toolkit in fetched}
        print_json({"schema": SCHEMA, "toolkits": fetched, "used_by": uses, "system": system})
        return
    rows = [
        (f"{t.kind} {t.version}", _size(t.bytes), t.origin, _uses(len(builds_with(t.path))), t.name) for t in fetched
    ]
    rows += [(f"{t.kind} {t.version or '?'}", "", "installed on this machine", "", t.path) for t in system]
    if not rows:
        typer.echo('No toolkit yet. Fetch one: gpubuild toolchain install "cuda==13.*"')
        return
    _table(("Toolkit", "Size", "Origin", "Used by", "Name or path"), rows)


def _uses(builds: int) -> str:
    return f"{builds} build{'' if builds == 1 else 's'}" if builds else "nothing"


def _list_available(*, as_json: bool) -> None:
    from buildtool.compat.vendor import SERVERS
    from buildtool.toolchain import available, available_rootfs, platform_name
    from buildtool.toolchain.vendor.offers import look

    platform = platform_name()
    sets, made = available(platform), available_rootfs(platform)
    served, failures = look(platform)
    for error in failures:
        print_note(f"{error.what} {error.why}".rstrip())
    if as_json:
        print_json({"schema": SCHEMA, "platform": platform, "available": sets, "served": served, "rootfs": made})
        return
    if not sets and not made and not served:
        typer.echo(f"No toolkit can be fetched for {platform}.")
        return
    rows = [(f"cuda {s.version}", f"CUDA {s.meta}, NVIDIA's wheels", "") for s in sets]
    rows += [(f"{s.kind} {s.version}", f"{SERVERS[s.provider]} {s.family}".rstrip(), "") for s in served]
    rows += [
        (
            f"{r.kind} {r.version}",
            f"root filesystem of Debian {r.suites[-1]}",
            f"{_size(r.download)}, {_size(r.unpacked)}",
        )
        for r in made
    ]
    _table(("Toolkit", "From", "To fetch, on disk"), rows)


@toolchain_app.command(
    "install",
    epilog='Examples: [bold]gpubuild toolchain install "cuda==13.0.*"[/bold] · '
    '[bold]gpubuild toolchain install "rocm==7.*"[/bold]',
)
def install_toolkit(  # noqa: PLR0913, PLR0917 - one parameter per option
    spec: Annotated[str, typer.Argument(help='What to install, such as "cuda==13.0.*" or "rocm==7.*".')],
    mirror: Annotated[
        str | None, typer.Option("--mirror", metavar="URL", help="Debian mirror; apt's own configuration if left out.")
    ] = None,
    ignore_valid_until: Annotated[
        bool, typer.Option("--ignore-valid-until", help="Accept a mirror's outdated index; signatures are checked.")
    ] = False,
    cuda_redist: Annotated[
        str | None, typer.Option("--cuda-redist", metavar="URL", help="Take CUDA from this copy of NVIDIA's archives.")
    ] = None,
    therock: Annotated[
        str | None, typer.Option("--therock", metavar="URL", help="Take ROCm from this copy of AMD's TheRock archives.")
    ] = None,
    therock_index: Annotated[
        str | None, typer.Option("--therock-index", metavar="URL", help="Take ROCm from this index of TheRock wheels.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="T[;T...]", help="What TheRock's ROCm must serve; else this machine's cards."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a toolkit into gpubuild's store: from a package registry or a vendor's server, or make it from Debian."""
    from buildtool.cli.progress import Reporter
    from buildtool.compat.rootfs import RootfsRow
    from buildtool.errors import InvalidInputError
    from buildtool.toolchain import install
    from buildtool.toolchain.rootfs.suite import find_mirror
    from buildtool.toolchain.vendor.offers import named as may_ask

    given = {"redist": cuda_redist, "therock": therock, "therock-wheels": therock_index}
    named = {provider: url for provider, url in given.items() if url}
    if len(named) > 1:
        what = "A toolkit comes from one server."
        raise InvalidInputError(what, hint="Leave all but one of --cuda-redist, --therock and --therock-index out.")
    served = spec.lower().startswith("rocm") and (named or target or may_ask())
    targets = _wanted_targets(target) if served else ()
    chosen, offered = _choice(spec, named, targets)
    made = isinstance(chosen, RootfsRow)
    if not made and (mirror or ignore_valid_until):
        what = f"{spec} does not come from a Debian mirror."
        raise InvalidInputError(what, hint="Leave --mirror and --ignore-valid-until out.")
    source = find_mirror(mirror, ignore_valid_until=ignore_valid_until) if made else None
    with Reporter(quiet=as_json) as reporter:
        compiler = None if isinstance(chosen, RootfsRow) and chosen.compiler is not None else _compiler()
        toolkit, _ = install(
            spec, compiler, progress=reporter.downloads(), mirror=source, offered=offered,
            server=next(iter(named.values()), None), targets=targets,
        )  # fmt: skip
    if as_json:
        print_json({"schema": SCHEMA, "toolkit": toolkit})
        return
    typer.echo(f"{toolkit.kind} {toolkit.version} is ready ({_size(toolkit.bytes)}): {toolkit.path}")


@toolchain_app.command("show", epilog="Example: [bold]gpubuild toolchain show 13.0.88[/bold]")
def show_toolkit(name: Name, as_json: Json = False) -> None:
    """Show one toolkit of the store: what it is made of, where it lies, what uses it."""
    from buildtool.build.uses import builds_with
    from buildtool.toolchain import show

    toolkit = show(name)
    uses = builds_with(toolkit.path)
    if as_json:
        print_json({"schema": SCHEMA, "toolkit": toolkit, "used_by": uses})
        return
    typer.echo("\n".join(_lines(toolkit, uses)))


@toolchain_app.command("remove", epilog="Example: [bold]gpubuild toolchain remove 13.0.88[/bold]")
def remove_toolkit(name: Name, as_json: Json = False) -> None:
    """Delete a toolkit from the store and give its space back."""
    from buildtool.toolchain import remove

    toolkit = remove(name)
    if as_json:
        print_json({"schema": SCHEMA, "removed": toolkit})
        return
    stderr_console().print(f"Removed {toolkit.name}: {_size(toolkit.bytes)} are free again.", markup=False)


@toolchain_app.command("prune", epilog="Example: [bold]gpubuild toolchain prune --dry-run[/bold]")
def prune_toolkits(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: Json = False,
) -> None:
    """Delete every toolkit of the store that no build directory uses."""
    from buildtool.build.uses import builds_with
    from buildtool.toolchain import installed

    unused = [toolkit for toolkit in installed() if not builds_with(toolkit.path)]
    if not unused and not as_json:
        typer.echo("Nothing to delete: every toolkit of the store is used by a build.")
        return
    if not dry_run:
        unused = _removed(unused)
    if as_json:
        print_json({"schema": SCHEMA, "dry_run": dry_run, "removed": unused})
        return
    for toolkit in unused:
        typer.echo(f"{'Would remove' if dry_run else 'Removed'} {toolkit.name} ({_size(toolkit.bytes)}).")
    total = _size(sum(toolkit.bytes for toolkit in unused))
    typer.echo(f"{total} {'would be' if dry_run else 'are'} free again.")


def _removed(toolkits: list[InstalledToolkit]) -> list[InstalledToolkit]:
    """Delete toolkits and return those that are gone; what is in use stays, and is told."""
    from buildtool.errors import StorageError
    from buildtool.toolchain import remove

    gone = []
    for toolkit in toolkits:
        try:
            gone.append(remove(toolkit.name))
        except StorageError as error:
            print_note(f"{toolkit.name} stays: {error.what} {error.why}".rstrip())
    return gone


def _choice(
    spec: str, given: dict[str, str], targets: tuple[str, ...]
) -> tuple[CudaSet | Offered | RootfsRow, tuple[Offered, ...]]:
    """Return what is to be installed, and everything that named servers offer."""
    from buildtool.compat.vendor import SERVERS
    from buildtool.errors import GpubuildError, InvalidInputError
    from buildtool.probe.model import Offered
    from buildtool.toolchain import choose, platform_name
    from buildtool.toolchain.vendor.offers import look

    platform = platform_name()
    offered, failures = look(platform, given)
    if given:
        if failures:
            raise failures[0]
        offered = tuple(one for one in offered if one.provider in given)
    try:
        chosen = choose(spec, platform, offered, server_first=bool(given), targets=targets)
    except GpubuildError as error:
        if failures:  # what was meant may be there
            raise failures[0] from error
        raise
    if given and not isinstance(chosen, Offered):
        what = f"The server of {', '.join(SERVERS[one] for one in given)} has nothing that meets {spec!r}."
        raise InvalidInputError(what, hint="Leave its address out to take it from elsewhere.")
    for failure in failures:
        print_note(f"{failure.what} {failure.why}".rstrip())
    return chosen, offered


def _wanted_targets(names: list[str] | None) -> tuple[str, ...]:
    """Return the targets named, else those of this machine's AMD devices."""
    from buildtool.compat.case import detected_targets
    from buildtool.compat.targets import parse_targets, split_list

    if names:
        return tuple(target.chip for target in parse_targets(split_list(names)))
    from buildtool.probe import detect

    return tuple(target.chip for target in detected_targets(detect(), "rocm"))


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


def _lines(toolkit: InstalledToolkit, uses: Sequence[str]) -> list[str]:
    facts = {
        "name": toolkit.name,
        "origin": toolkit.origin,
        "installed": toolkit.created,
        "size": f"{_size(toolkit.bytes)} in {toolkit.files} files",
        "path": toolkit.path,
    }
    rows = [f"{toolkit.kind} {toolkit.version}", *(f"  {name:10} {value}" for name, value in facts.items())]
    rows += ["  packages", *(f"    {package}" for package in toolkit.wheels)]
    return [*rows, "  used by", *(f"    {build}" for build in uses or ("nothing",))]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _size(count: int) -> str:
    from buildtool.store.storage import readable_size

    return readable_size(count)
