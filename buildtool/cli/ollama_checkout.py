"""``gpubuild compile --source`` of an Ollama checkout: its own build, for the targets that were asked for."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from buildtool.cli import request as ask
from buildtool.errors import GpubuildError, IncompatibleError, InvalidInputError

if TYPE_CHECKING:
    from buildtool.checkout import Built
    from buildtool.compat.model import Plan
    from buildtool.probe.model import Host
    from buildtool.source.ollama import OllamaTree

FOLDER = "ollama"  # below --out, where wheels may lie
#: What has a meaning for wheels of llama.cpp only.
FOREIGN = (
    "recipe", "profile", "runtime", "in", "manylinux", "lock", "build_target", "sign_key", "print_script",
    "experimental_variants",
)  # fmt: skip


def compile_checkout(
    tree: OllamaTree, wish: ask.Wish, *, out: Path, jobs: int | None, build_dir: Path | None, as_json: bool
) -> None:
    """Build a checkout of Ollama into ``OUT/ollama``.

    Raises:
        InvalidInputError: an option that has no meaning here, or a layout that gpubuild does not build.
        GpubuildError: as `buildtool.checkout.build` and the rooms before it.
    """
    from buildtool.build.jobs import job_count
    from buildtool.checkout import build, make_order, require
    from buildtool.checkout.drive import require_ours
    from buildtool.cli.machine import find_host
    from buildtool.cli.progress import Reporter
    from buildtool.source.ollama import refuse
    from buildtool.store.paths import cache_root
    from buildtool.toolchain import acquire, pinned, require_usable

    _refuse_foreign(wish)
    if tree.layout == "older":
        raise refuse(tree, str(wish.get("backend") or ""), cast("list[str]", wish.get("target") or ()))
    place = (out / FOLDER).absolute()
    require_ours(place)
    request = ask.make_request(ask.Wish({**wish, "source": None}))
    host = find_host()
    plan = _plan(tree, wish, host)
    order = make_order(tree, plan, request.add_targets, whole=request.base == "recipe" and not request.targets)
    compared = require(order, plan.host_compiler)
    require_usable(plan.toolkit)
    key = hashlib.sha256(f"{tree.path}\0{plan.backend}\0{order.toolkit}".encode()).hexdigest()[:12]
    work = build_dir or cache_root() / "build" / f"ollama-{plan.backend}-{key}"
    with Reporter(quiet=as_json) as reporter:
        reporter.note(f"Ollama {order.version} in {tree.path}: {_headline(plan, order.targets)}")
        for words in compared:
            reporter.note(f"  {words}")
        downloads = reporter.downloads()
        toolkit = pinned(plan.toolkit, plan.platform, progress=downloads)
        toolchain = acquire(toolkit, plan.host_compiler, progress=downloads)
        count = job_count(jobs, device_code=plan.backend in {"cuda", "rocm"})
        built = build(order, toolchain, work.absolute(), place, jobs=count, progress=reporter)
        if words := _too_new(built.glibc, host):
            reporter.note(words)
    _show(built, as_json=as_json)


def _too_new(glibc: str, host: Host) -> str:
    """Say that what was built inside a newer system does not start on this one, "" where it does."""
    from buildtool.compat.versions import Release

    here = host.libc.version if host.libc is not None and host.libc.name == "glibc" else ""
    if not glibc or not here or Release.parse(glibc).numbers <= Release.parse(here).numbers:
        return ""
    return f"It was built inside a newer system and does not start on this one: it needs glibc {glibc}, here is {here}."


def _refuse_foreign(wish: ask.Wish) -> None:
    given = sorted("--" + name.replace("_", "-") for name in FOREIGN if wish.get(name))
    if given:
        what = f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for wheels of llama.cpp."
        raise InvalidInputError(what, why="The source is a checkout of Ollama.", hint="Leave that out.")


def _plan(tree: OllamaTree, wish: ask.Wish, host: Host) -> Plan:
    """Let the engine choose backend, targets and toolkit; of CUDA, a release that the checkout has presets for.

    Raises:
        GpubuildError: as `buildtool.compat.resolve`.
    """
    from buildtool.checkout import majors
    from buildtool.compat import resolve

    plain = ask.Wish({**wish, "source": None})
    plan = resolve(ask.make_request(plain), host)
    if plan.backend != "cuda" or plan.toolkit is None or wish.get("toolkit"):
        return plan
    known = majors(tree)
    if int(plan.toolkit.version.partition(".")[0]) in known:
        return plan
    for major in known:
        with contextlib.suppress(GpubuildError):
            return resolve(ask.make_request(ask.Wish({**plain, "toolkit": f"cuda=={major}.*"})), host)
    names = ", ".join(map(str, known)) or "none"
    what = f"The checkout has presets for CUDA {names}, and none of them can be had here."
    raise IncompatibleError(what, hint='Install one of them, or name it: --toolkit "cuda==12.*".')


def _headline(plan: Plan, targets: tuple[str, ...]) -> str:
    served = f" for {' '.join(targets)}" if targets else ""
    toolkit = f" with {plan.toolkit.kind.upper()} {plan.toolkit.version}" if plan.toolkit is not None else ""
    return f"its own build, {plan.backend}{served}{toolkit}"


def _show(built: Built, *, as_json: bool) -> None:
    from buildtool.cli.console import print_json
    from buildtool.cli.progress import clock
    from buildtool.shell import command_line

    if as_json:
        print_json(built)
        return
    typer.echo(built.out)
    typer.echo(f"Built in {clock(built.seconds)}. Log: {built.log}", err=True)
    typer.echo(f"Runners: {' '.join(built.runners) or 'none, the processor only'}", err=True)
    typer.echo(f"Start:   {command_line((f'{built.out}/bin/ollama', 'serve'))}", err=True)
