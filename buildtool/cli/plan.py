"""``gpubuild plan``: what would be built, from what, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli import request as wish
from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host
from buildtool.cli.script import PrintScriptOption
from buildtool.shell import here, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildtool.compat.model import Decision, Plan
    from buildtool.probe.model import Host

EPILOG = """
[bold]Examples[/bold]

gpubuild plan  (for the machine in front of you)

gpubuild plan --backend cuda --target sm_90  (for an H100, from any machine)

gpubuild plan --add-target gfx1032 --explain  (every choice with its rule and its sources)

gpubuild plan --for-device "RX 6600"  (for a card by its name)

gpubuild plan --for-device "RX 6600" --ladder  (every way to serve it, with cost and risk)

gpubuild plan --why-not sm_61  (what speaks against it here)

gpubuild plan --in docker://IMAGE  (with the compilers and the toolkit of a container image)

gpubuild plan --host host.json  (for the machine where gpubuild detect --json wrote it)

gpubuild plan --host host.json --print-script powershell  (the build there as a script)

gpubuild plan --backend cuda --target "86;89" --toolkit "cuda==13.*" --out gpubuild.lock

[bold]Exit codes[/bold]: 3 a name nobody knows, 4 impossible, 5 something must be installed first.
"""
WIDTH = 80
LABEL = 18


def plan(  # noqa: PLR0913, PLR0917 - one parameter per command-line option
    backend: wish.BackendOption = None,
    target: wish.TargetOption = None,
    for_device: wish.ForDeviceOption = None,
    add_target: wish.AddTargetOption = None,
    base: wish.BaseOption = None,
    toolkit: wish.ToolkitOption = None,
    recipe: wish.RecipeOption = None,
    source: wish.SourceOption = None,
    profile: wish.ProfileOption = None,
    runtime: wish.RuntimeOption = None,
    thin_vendor: wish.ThinVendorOption = False,
    inside: wish.InsideOption = None,
    manylinux: wish.ManylinuxOption = None,
    lock: wish.LockOption = None,
    replay: ReplayOption = None,
    host_file: HostOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the plan as a lock file.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every choice with its rule and the sources of its facts.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Every plan that works, best first.")] = False,
    why_not: Annotated[
        str | None,
        typer.Option("--why-not", metavar="NAME", help="What speaks against this target, toolkit or backend."),
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Every way to serve a card, best first, with cost and risk.")
    ] = False,
    have: Annotated[
        Path | None,
        typer.Option("--have", metavar="PATH", help="With --ladder: a binary or folder that may serve it already."),
    ] = None,
    print_script: PrintScriptOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Decide a build: source, backend, targets, toolkit, compiler, options, wheels; each with its reason."""
    given = wish.Wish(
        backend=backend, target=target, for_device=for_device, add_target=add_target, base=base, toolkit=toolkit,
        recipe=recipe, source=source, profile=profile, runtime=runtime, thin_vendor=thin_vendor,
        manylinux=manylinux, **{"in": inside},
    )  # fmt: skip
    wanted = {"--ladder": ladder or have is not None, "--all": every, "--why-not": why_not is not None}
    single = {"--lock": lock is not None, "--out": out is not None, "--explain": explain}
    _check_modes(wanted, single | {"--print-script": print_script is not None})
    if ladder or have is not None:
        from buildtool.cli.ladder import show_ladders

        show_ladders(wish.make_request(given), find_host(host_file, replay, inside=inside), have, as_json=as_json)
        return
    if every:
        _list_all(given, find_host(host_file, replay, inside=inside), as_json=as_json)
        return
    if why_not is not None:
        _answer(given, find_host(host_file, replay, inside=inside), why_not, as_json=as_json)
        return
    found = wish.make_plan(given, lock, host_file, replay)
    if out is not None:
        from buildtool.compat.fixed import with_source, with_toolkit
        from buildtool.compat.lock import save_lock
        from buildtool.source import resolve as fix_source
        from buildtool.toolchain import pinned

        found = with_toolkit(with_source(found, fix_source(found.source)), pinned(found.toolkit, found.platform))
        save_lock(found, out)
    if print_script is not None:
        from buildtool.cli.script import print_script as show

        show(found, print_script, as_json=as_json)
        return
    if as_json:
        print_json(found)
        return
    typer.echo("\n".join(render(found, explain=explain)))
    if out is not None:
        typer.echo(f"\nWritten to {out}; run it with: gpubuild compile --lock {quote(str(out), here())}")


def _check_modes(modes: dict[str, bool], plan_only: dict[str, bool]) -> None:
    """Refuse options that would be left without effect.

    Raises:
        InvalidInputError: two questions at once, or an option of a single plan beside one.
    """
    from buildtool.errors import InvalidInputError

    asked = [name for name, given in modes.items() if given]
    beside = [name for name, given in plan_only.items() if given]
    if len(asked) > 1:
        what = f"{' and '.join(asked)} are different questions."
        raise InvalidInputError(what, hint="Ask one at a time.")
    if asked and beside:
        what = f"{' and '.join(beside)} belongs to a single plan, {asked[0]} shows none."
        raise InvalidInputError(what, hint=f"Leave {asked[0]} or {' and '.join(beside)} out.")


def _list_all(given: wish.Wish, host: Host, *, as_json: bool) -> None:
    from buildtool.compat.engine import resolve_all

    plans = resolve_all(wish.make_request(given), host)
    if as_json:
        print_json(plans)
        return
    typer.echo(f"{len(plans)} plans work, best first:\n" if len(plans) > 1 else "1 plan works:\n")
    for number, one in enumerate(plans, start=1):
        for line in _wrapped(f"{number:>3} {one.backend}", summary(one), WIDTH):
            typer.echo(line)


def _answer(given: wish.Wish, host: Host, word: str, *, as_json: bool) -> None:
    from buildtool.compat.engine import why_not
    from buildtool.errors import GpubuildError

    answer = why_not(wish.make_request(given), host, word)
    if as_json:
        print_json({"speaks_against": answer.as_dict() if isinstance(answer, GpubuildError) else None})
    elif isinstance(answer, GpubuildError):
        typer.echo(answer.what)
        for line in (*_wrapped("why:", answer.why, WIDTH), *answer.details):
            typer.echo(line)
    else:
        typer.echo(f"Nothing speaks against {word}: {summary(answer)}")


def summary(found: Plan) -> str:
    """Say in one line what a plan builds from what."""
    from buildtool.compat.vendor import SERVERS

    parts = [", ".join(found.targets)] if found.targets else []
    if found.toolkit is not None:
        made = {"pypi": "fetched", "rootfs": "a root filesystem"} | SERVERS
        where = made.get(found.toolkit.provider, found.toolkit.path)
        name = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan"}[found.toolkit.kind]
        parts.append(f"{name} {found.toolkit.version} ({where})")
    parts.append(f"{found.host_compiler.family} {found.host_compiler.version}")
    parts.append(found.source.name)
    return "; ".join(parts)


def render(found: Plan, *, explain: bool, width: int = WIDTH) -> Iterator[str]:
    """Lay a plan out in lines of at most `width` columns: each choice, and below it the reason."""
    yield f"Plan for {found.recipe} on {found.platform} ({found.digest()[:12]})"
    yield ""
    for decision in found.decisions:
        if explain or decision.subject != "option":
            yield from _entry(decision, width, explain=explain)
    for wheel in found.wheels:
        yield from _wrapped(f"{wheel.role} wheel", f"{wheel.distribution} {wheel.version}", width)
        yield from _wrapped("", f"requires {', '.join(wheel.requires)}" if wheel.requires else "", width)
    if not explain:
        yield ""
        yield f"{len(found.cmake_options)} CMake options: see them, and all sources, with --explain."


def _entry(decision: Decision, width: int, *, explain: bool) -> Iterator[str]:
    yield from _wrapped(decision.subject, decision.choice, width)
    reason = f"{decision.reason} [{decision.rule}]" if explain else decision.reason
    yield from _wrapped("", reason, width, dim=True)
    if explain:
        for source in decision.sources:
            yield from _wrapped("", f"- {source}", width, dim=True)


def _wrapped(label: str, text: str, width: int, *, dim: bool = False) -> Iterator[str]:
    import textwrap

    lines = textwrap.wrap(text, width - LABEL, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        head = (label if number == 0 else "").ljust(LABEL)
        body = typer.style(line, dim=True) if dim else typer.style(line, bold=bool(label))
        yield head + body
