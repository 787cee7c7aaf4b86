"""``gpubuild compile``: the main job, from a wish to wheels."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from buildtool.cli import request as ask
from buildtool.cli.script import PrintScriptOption

if TYPE_CHECKING:
    from buildtool.build import BuildOptions
    from buildtool.build.model import BuildTree
    from buildtool.cli.progress import Reporter
    from buildtool.compat.model import Plan
    from buildtool.runtime import RuntimeSet
    from buildtool.wheel import Want
    from buildtool.wheel.model import Wheel

EPILOG = """
[bold]Examples[/bold]

  gpubuild compile                                    for the GPU in this machine, or the CPU without one

  gpubuild compile --backend cuda --target sm_90      for an H100, on any machine

  gpubuild compile --backend cuda --base recipe       for every card the recipe serves

  gpubuild compile --in docker://IMAGE                with the compilers and the toolkit of a container image

  gpubuild compile --lock gpubuild.lock               exactly what a plan has fixed

  gpubuild compile --source ~/ollama --target gfx1032 Ollama's own build, of a checkout of it

  gpubuild compile --print-script bash > build.sh     the same as a script to review and run elsewhere

A build that was stopped goes on where it was; a second run with nothing changed does nothing.
"""


def compile_command(  # noqa: PLR0913, PLR0917 - one parameter per option
    backend: ask.BackendOption = None,
    target: ask.TargetOption = None,
    for_device: ask.ForDeviceOption = None,
    add_target: ask.AddTargetOption = None,
    base: ask.BaseOption = None,
    toolkit: ask.ToolkitOption = None,
    source: ask.SourceOption = None,
    recipe: ask.RecipeOption = None,
    profile: ask.ProfileOption = None,
    runtime: ask.RuntimeOption = None,
    thin_vendor: ask.ThinVendorOption = False,
    inside: ask.InsideOption = None,
    manylinux: ask.ManylinuxOption = None,
    lock: ask.LockOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the wheels go.")] = Path("dist"),
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Parallel compile jobs; chosen by cores and memory if left out.")
    ] = None,
    build_dir: Annotated[Path | None, typer.Option(help="Build here instead of in the cache directory.")] = None,
    build_target: Annotated[
        list[str] | None, typer.Option(help="Build only this file or CMake target, and make no wheel. Repeatable.")
    ] = None,
    sign_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign the wheels with this private key (PEM); docs/wheels.md."),
    ] = None,
    experimental_variants: Annotated[
        bool,
        typer.Option("--experimental-variants", help="Make variant wheels (PEP 825, a draft); docs/wheels.md."),
    ] = False,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Use a compiler cache.")] = True,
    print_script: PrintScriptOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Build llama.cpp for a GPU (or the CPU) and pack it as wheels."""
    from buildtool.build import BuildOptions
    from buildtool.build.configure import require_carried
    from buildtool.build.jobs import job_count
    from buildtool.cli.progress import Reporter
    from buildtool.toolchain import require_usable
    from buildtool.wheel import Want, require_writable
    from buildtool.wheel.variants import require_variants

    job_count(jobs, device_code=False)
    if build_dir is not None:
        require_carried(build_dir.absolute(), "Name another directory with --build-dir.")
    wish = ask.Wish(
        backend=backend, target=target, for_device=for_device, add_target=add_target, base=base, toolkit=toolkit,
        source=source, recipe=recipe, profile=profile, runtime=runtime, thin_vendor=thin_vendor,
        manylinux=manylinux, **{"in": inside},
    )  # fmt: skip
    checkout = ask.ollama_checkout(source)
    if checkout is not None:
        from buildtool.cli.ollama_checkout import compile_checkout

        wish.update(lock=lock, build_target=build_target, sign_key=sign_key, print_script=print_script)
        wish.update(experimental_variants=experimental_variants)
        compile_checkout(checkout, wish, out=out, jobs=jobs, build_dir=build_dir, as_json=as_json)
        return
    if print_script is None:
        require_writable(out)
    signer = _signer(sign_key)
    plan = ask.make_plan(wish, lock)
    if print_script is not None:
        from buildtool.cli.script import print_script as show

        show(plan, print_script, as_json=as_json)
        return
    if experimental_variants:
        require_variants(plan)
    require_usable(plan.toolkit, plan.inside)
    require_usable(plan.base or None)
    with Reporter(quiet=as_json) as reporter:
        options = BuildOptions(jobs=jobs, build_dir=build_dir, targets=tuple(build_target or ()), use_cache=cache)
        made = make_wheels(plan, options, out, reporter, Want(variants=experimental_variants))
        signatures = signer(made.wheels)
        if as_json:
            _print_result(made, signatures)
        else:
            _report(made.tree, made.wheels, signatures, reporter)


class Made(NamedTuple):
    """What came of a plan: the plan with nothing left open, its build, the vendor's libraries, and the wheels."""

    plan: Plan
    tree: BuildTree
    vendor: RuntimeSet
    wheels: tuple[Wheel, ...]


def make_wheels(plan: Plan, options: BuildOptions, out: Path, reporter: Reporter, want: Want) -> Made:
    """Fetch what a plan needs, build it and pack it; without wheels where only single files were asked for.

    Args:
        plan: what to build.
        options: how.
        out: where the wheels go.
        reporter: told about everything that takes time.
        want: which wheels; of one role, only that one is built.

    Raises:
        GpubuildError: as the rooms on the way.
    """
    import msgspec

    from buildtool.cli.corridor import build_plan
    from buildtool.runtime import RuntimeSet, collect
    from buildtool.wheel import pack

    reporter.note(_headline(plan))
    one = {"targets": (f"gpubuild_{want.role}",)} if want.role is not None else {}
    part = msgspec.structs.replace(options, **one)
    built = build_plan(plan, part, reporter)
    plan, tree = built.plan, built.tree
    if options.targets:
        return Made(plan, tree, RuntimeSet(mode=plan.runtime), ())
    vendor = collect(plan, built.toolchain, tree, progress=reporter.downloads())
    _tell_vendor(vendor, reporter)
    return Made(plan, tree, vendor, pack(plan, tree, built.source, vendor, out, on_step=reporter.note, want=want))


def _signer(key_file: Path | None) -> Callable[[tuple[Wheel, ...]], tuple[str, ...]]:
    """Return what signs wheels; the key is read now, so that a wrong one is found before an hour of compiling."""
    if key_file is None:
        return lambda _wheels: ()
    from buildtool.wheel.signing import read_private_key, sign

    key = read_private_key(key_file)
    return lambda wheels: tuple(str(sign(Path(wheel.path), key)) for wheel in wheels)


def _headline(plan: Plan) -> str:
    served = f" for {', '.join(plan.targets)}" if plan.targets else ""
    toolkit = f" with {plan.toolkit.kind.upper()} {plan.toolkit.version}" if plan.toolkit else ""
    return f"{plan.source.name}: {plan.backend} backend{served}{toolkit}, {plan.profile} profile"


def _tell_vendor(vendor: RuntimeSet, reporter: Reporter) -> None:
    """Say what travels and which rung of the ladder serves each target."""
    from buildtool.store.storage import readable_size

    if vendor.libraries:
        folders = "".join(f" and {one.name}/" for one in vendor.data)
        reporter.note(f"Vendor libraries: {len(vendor.libraries)}{folders}, {readable_size(vendor.bytes)}")
    for rung in vendor.rungs:
        reporter.note(f"  {rung.target}: {rung.reason}")
    for note in vendor.notes:
        reporter.note(f"  {note}")


def _print_result(made: Made, signatures: tuple[str, ...]) -> None:
    from buildtool.cli.console import print_json

    result = {"schema": 1, "plan": made.plan.digest(), "build": made.tree, "runtime": made.vendor}
    print_json(result | {"wheels": made.wheels, "signatures": signatures})


def _report(tree: BuildTree, wheels: tuple[Wheel, ...], signatures: tuple[str, ...], reporter: Reporter) -> None:
    from buildtool.cli.progress import clock

    if tree.steps:
        reporter.note(f"Built {tree.steps} steps in {clock(tree.seconds)}. Log: {tree.log}")
    else:
        reporter.note("Nothing had to be built.")
    if tree.cache is not None:
        detail = ", ".join(f"{key} {value}" for key, value in tree.cache.detail.items())
        counts = f"{tree.cache.hits} hits, {tree.cache.misses} misses"
        reporter.note(f"{tree.cache.launcher}: {counts}{f' ({detail})' if detail else ''}")
    for wheel in wheels:
        typer.echo(wheel.path)
        reporter.note(f"  {wheel.bytes / 1e6:.1f} MB  {wheel.tag}  sha256 {wheel.sha256}")
    for signature in signatures:
        reporter.note(f"Signed: {_from_here(signature)}")
    if wheels:
        from buildtool.wheel.filename import label_of

        files = shlex.join(_from_here(wheel.path) for wheel in wheels)
        variants = any(label_of(Path(wheel.path).name) for wheel in wheels)
        reporter.note("Install: pip does not take variant wheels yet" if variants else f"Install: pip install {files}")
        reporter.note(f"Prove:   gpubuild verify {files}")


def _from_here(path: str) -> str:
    """Write a path as it is shortest from the current directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
