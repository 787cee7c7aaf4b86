"""``gpubuild reproduce``: build a wheel again from the lock inside it, and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stdout_console

if TYPE_CHECKING:
    from buildtool.cli.progress import Reporter
    from buildtool.wheel.comparing import Comparison, Difference

EPILOG = """
[bold]Examples[/bold]

  gpubuild reproduce dist/gpubuild_llama-*.whl            build it again without a compiler cache, compare every byte

  gpubuild reproduce wheel.whl --with other.whl           build nothing: compare two wheels that are there

  gpubuild reproduce wheel.whl --source ./llama.cpp       the wheel was built from a local tree

[bold]Exit codes[/bold]: 0 the same bytes, 20 not the same.
"""


def reproduce(
    wheel: Annotated[Path, typer.Argument(metavar="WHEEL", help="A wheel that gpubuild packed.")],
    other: Annotated[
        Path | None, typer.Option("--with", metavar="WHEEL", help="Compare with this wheel instead of building.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The local tree that the wheel was built from.")
    ] = None,
    build_dir: Annotated[
        Path | None, typer.Option(help="Build here; by default in the cache, removed when the wheel is the same.")
    ] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Parallel compile jobs.")] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Use a compiler cache: quicker, and proves less.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build a wheel again from the lock inside it and say whether the bytes are the same."""
    from buildtool.wheel.comparing import compare

    if other is not None:
        _answer(compare(wheel, other), (wheel, other), as_json=as_json)
        return
    from buildtool.cli.progress import Reporter

    with Reporter(quiet=as_json) as reporter:
        made, place = _rebuilt(wheel, (source, build_dir, jobs, cache), reporter)
        result = compare(wheel, made)
    if result.same and build_dir is None:
        from buildtool.store.storage import delete_tree

        delete_tree(place)
    _answer(result, (wheel, made), as_json=as_json)


def _rebuilt(
    wheel: Path, wishes: tuple[Path | None, Path | None, int | None, bool], reporter: Reporter
) -> tuple[Path, Path]:
    """Build the wheel's plan again; return the new wheel and where it was built."""
    import os

    from buildtool.build import BuildOptions
    from buildtool.cli.corridor import build_plan
    from buildtool.runtime import collect
    from buildtool.store.paths import cache_root
    from buildtool.wheel import CLOCK, Want, pack
    from buildtool.wheel.again import again, role_of
    from buildtool.wheel.reading import describe
    from buildtool.wheel.variants import require_variants

    source, build_dir, jobs, cache = wishes
    said = describe(wheel)
    plan, role = again(wheel, source), role_of(wheel)
    if said.variant:
        require_variants(plan)
    for line in _tools(said.tools):
        reporter.note(line)
    if plan.profile == "native":
        reporter.note("It was tuned to the processor that built it: only the same processor makes the same bytes.")
    if said.clock is not None:
        os.environ[CLOCK] = str(said.clock)
    place = build_dir or cache_root() / "build" / f"reproduce-{said.sha256[:12]}"
    targets = (f"gpubuild_{role}",)
    options = BuildOptions(jobs=jobs, build_dir=place, targets=targets, use_cache=cache)
    reporter.note(f"{plan.source.name}: the {role} wheel again, in {place}")
    built = build_plan(plan, options, reporter, name_digest=False)
    vendor = collect(built.plan, built.toolchain, built.tree, progress=reporter.downloads())
    want = Want(role=role, variants=bool(said.variant))
    (made,) = pack(built.plan, built.tree, built.source, vendor, place / "dist", on_step=reporter.note, want=want)
    return Path(made.path), place


def _tools(recorded: dict[str, str]) -> list[str]:
    """Say which tools are of another version here than the wheel says."""
    from buildtool.wheel.content import tools_here

    here = tools_here()
    return [
        f"{name} is {here.get(name, 'not')} here, the wheel was made with {version}: its description will differ."
        for name, version in sorted(recorded.items())
        if here.get(name) != version
    ]


def _answer(result: Comparison, wheels: tuple[Path, Path], *, as_json: bool) -> None:
    from buildtool.errors import NotReproducedError

    if as_json:
        print_json({"schema": 1, "wheels": [str(path) for path in wheels], "comparison": result})
        raise typer.Exit(0 if result.same else NotReproducedError.exit_code)
    if result.same:
        stdout_console().print(f"the same bytes: sha256 {result.sha256[0]}", soft_wrap=True)
        return
    what = f"{wheels[0].name} is not the same again."
    hint = f"The other wheel is {wheels[1]}"
    if result.first is None:
        why = (
            "Every file in it is the same; the archive is not: another zlib compressed it, or somebody packed it anew."
        )
        raise NotReproducedError(what, why=why, hint=hint)
    count = len(result.differing)
    why = f"{count} file{'s differ' if count > 1 else ' differs'}: {', '.join(result.differing[:5])}" + (
        " ..." if count > 5 else ""  # noqa: PLR2004 - as many as were shown
    )
    raise NotReproducedError(what, why=why, hint=hint, details=_words(result.first))


def _words(first: Difference) -> tuple[str, ...]:
    place = (
        f"{first.file}: "
        + {
            "missing": "only in the first wheel",
            "added": "only in the second wheel",
            "mode": "another mode",
            "content": f"first difference at offset {first.offset}",
        }[first.kind]
    )
    if first.section:
        place += f", section {first.section}"
    if first.line:
        place += f", line {first.line}"
    if first.sizes[0] != first.sizes[1] and first.kind == "content":
        place += f" ({first.sizes[0]} and {first.sizes[1]} bytes)"
    return (place, *([f"  first:  {first.first}", f"  second: {first.second}"] if first.first or first.second else []))
