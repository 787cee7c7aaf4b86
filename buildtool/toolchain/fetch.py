"""Adding a toolkit to the store: what can be had, which of it a wish means, and fetching or making it."""

from __future__ import annotations

import difflib
import re

from packaging.requirements import InvalidRequirement, Requirement

from buildtool.compat.assemble import plan_rootfs
from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.compat.pypi_sets import CudaSet, cuda_sets, matching_sets
from buildtool.compat.rootfs import RootfsRow, rootfs_for, rootfs_row
from buildtool.compat.vendor import family_targets, is_early, newest_first
from buildtool.compat.versions import TOOLKITS, Release, parse_wish
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.probe.model import Offered
from buildtool.store.entries import Store
from buildtool.store.progress import Progress
from buildtool.toolchain import cuda_wheels
from buildtool.toolchain.here import platform_name
from buildtool.toolchain.manage import InstalledToolkit, show
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.provide import acquire, pinned, require_usable
from buildtool.toolchain.rootfs import make
from buildtool.toolchain.rootfs.suite import Mirror
from buildtool.toolchain.vendor import provide as vendor


def available(platform: str) -> tuple[CudaSet, ...]:
    """Return the toolkits that can be fetched for `platform`, newest first; of one nvcc version only the newest."""
    newest = {row.version: row for row in reversed(cuda_sets()) if row.platform == platform}
    return tuple(reversed(newest.values()))


def available_rootfs(platform: str) -> tuple[RootfsRow, ...]:
    """Return the root filesystems that can be made on `platform`."""
    return tuple(row for kind in TOOLKITS for row in rootfs_for(kind, platform))


def choose(
    spec: str,
    platform: str,
    offered: tuple[Offered, ...] = (),
    *,
    server_first: bool = False,
    targets: tuple[str, ...] = (),
) -> CudaSet | Offered | RootfsRow:
    """Pick what meets `spec`, such as ``cuda==13.0.*``: the newest set of wheels, else what a server has, else a suite.

    Args:
        spec: kind and version, or the name of a root filesystem.
        platform: of the machine to build on.
        offered: what named servers have.
        server_first: take it from there, whatever else there is.
        targets: what it must serve, where a server has builds for some targets only.

    Raises:
        InvalidInputError: `spec` cannot be read.
        UnknownNameError: it names no toolkit.
        IncompatibleError: no such version can be fetched for this platform.
    """
    named = rootfs_row(spec)
    if named is not None:
        return named
    kind, versions = _wanted(spec)
    wish = parse_wish(f"{kind}{versions}")
    served = [one for one in offered if one.kind == kind and Release.read(one.version) and wish.admits(one.version)]
    served = _serving(spec, served, targets, server_first=server_first)
    sets = matching_sets(versions, platform) if kind == "cuda" else ()
    if sets and not (served and server_first):
        return sets[0]
    if served:
        return served[0]
    rows = [row for row in rootfs_for(kind, platform) if wish.admits(row.version)]
    if rows:
        return min(rows, key=lambda row: (row.rank, [-number for number in Release.parse(row.version).numbers]))
    raise _no_such(spec, kind, platform, offered)


def _wanted(spec: str) -> tuple[str, str]:
    """Read ``cuda==13.0.*`` into the kind of toolkit and the versions that are meant.

    Raises:
        InvalidInputError: it is written otherwise.
        UnknownNameError: there is no such kind.
    """
    hint = 'Write it as "cuda==13.0.*".'
    try:
        need = Requirement(spec)
    except InvalidRequirement as error:
        what = f"{spec!r} does not name a toolkit."
        raise InvalidInputError(what, why=str(error).partition("\n")[0], hint=hint) from error
    if need.url or need.extras or need.marker:
        what = f"{spec!r} names no version of a toolkit: addresses, extras and markers mean nothing here."
        raise InvalidInputError(what, hint=hint)
    kind = need.name.lower()
    if kind not in TOOLKITS:
        what = f"A toolkit {need.name!r} cannot be installed."
        near = difflib.get_close_matches(kind, TOOLKITS, n=1, cutoff=0.4)
        raise UnknownNameError(what, hint=f"Did you mean {near[0]}?" if near else 'Try "cuda==13.*" or "rocm==7.*".')
    return kind, str(need.specifier)


def _serving(spec: str, served: list[Offered], targets: tuple[str, ...], *, server_first: bool) -> list[Offered]:
    """Return the offers that hold kernels for all targets: releases before nightly builds, then the newest first.

    Raises:
        IncompatibleError: it must come from there, and nothing says for which targets, or none has them.
    """
    ranked = sorted(newest_first(served), key=lambda one: is_early(one.version))
    fitting = [one for one in ranked if not one.family or (targets and {*targets} <= {*family_targets(one.family)})]
    if fitting or not ranked or not server_first:
        return fitting
    details = tuple(
        f"{one.version} for {one.family}: {', '.join(family_targets(one.family)) or '?'}" for one in ranked[:10]
    )
    what = f"What the server has of {spec} is for some targets only."
    if targets:
        what = f"The server has nothing of {spec} for {', '.join(targets)}."
    raise IncompatibleError(what, hint="Name the target it must serve: --target gfx1032.", details=details)


def _no_such(spec: str, kind: str, platform: str, served: tuple[Offered, ...]) -> IncompatibleError:
    wheels = [row.meta for row in cuda_sets() if row.platform == platform] if kind == "cuda" else []
    others = [row.version for row in rootfs_for(kind, platform)] + [one.version for one in served if one.kind == kind]
    offered = sorted({*wheels, *others}, key=Release.parse, reverse=True)
    name = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan"}[kind]
    what = f"No {name} toolkit that meets {spec!r} can be fetched for {platform}."
    why = (
        "None of those on offer is meant." if offered else f"Nobody publishes one for {platform} that gpubuild fetches."
    )
    wanted = re.search(r"[\d.]*\d", spec)
    near = difflib.get_close_matches(wanted[0], offered, n=1, cutoff=0.7) if wanted else []
    install = "nstall the toolkit itself: gpubuild finds and uses it."
    hint = f"Take one of the versions above, or i{install}" if offered else f"I{install}"
    if near:
        hint = f"Did you mean {kind}=={near[0]}? {hint}"
    return IncompatibleError(what, why=why, hint=hint, details=(f"On offer: {', '.join(offered)}",) if offered else ())


def install(  # noqa: PLR0913 - one keyword per place that toolkits come from
    spec: str,
    compiler: PlanCompiler | None,
    *,
    progress: Progress | None = None,
    store: Store | None = None,
    mirror: Mirror | None = None,
    offered: tuple[Offered, ...] = (),
    server: str | None = None,
    targets: tuple[str, ...] = (),
) -> tuple[InstalledToolkit, Toolchain]:
    """Fetch or make the toolkit that `spec` names.

    Args:
        spec: as for `choose`.
        compiler: host compiler to set it up with; a root filesystem brings its own.
        progress: told about downloads and unpacking.
        store: where to (default: the user's store).
        mirror: where Debian packages come from (default: apt's configuration).
        offered: what named servers have.
        server: address of the vendor's server, when it is to come from there whatever else there is.
        targets: what it must serve, as for `choose`.

    Raises:
        GpubuildError: as `choose` and `acquire`.
    """
    chosen = choose(spec, platform_name(), offered, server_first=server is not None, targets=targets)
    toolkit = planned(chosen)
    require_usable(toolkit)
    if isinstance(chosen, RootfsRow):
        compiler = _inside(chosen) or compiler
    assert compiler is not None  # noqa: S101 - only a root filesystem can have its own
    exact = pinned(toolkit, progress=progress, store=store, mirror=mirror, server=server)
    toolchain = acquire(exact, compiler, progress=progress, store=store, mirror=mirror, server=server)
    return show(store_name(exact), store), toolchain


def _inside(row: RootfsRow) -> PlanCompiler | None:
    """Return the compiler of a root filesystem that has one."""
    inside = row.compiler
    if inside is None:
        return None
    return PlanCompiler(family=inside.family, version=inside.version, cxx=inside.cxx, cc=inside.cc or inside.cxx)


def planned(chosen: CudaSet | Offered | RootfsRow) -> PlanToolkit:
    """Return what was chosen as a plan names it."""
    if isinstance(chosen, RootfsRow):
        return PlanToolkit(kind=chosen.kind, version=chosen.version, provider="rootfs", rootfs=plan_rootfs(chosen))
    if isinstance(chosen, Offered):
        return PlanToolkit(kind=chosen.kind, version=chosen.version, provider=chosen.provider, family=chosen.family)
    return PlanToolkit(kind="cuda", version=chosen.version, provider="pypi", pins=chosen.pins)


def store_name(toolkit: PlanToolkit) -> str:
    """Return the name of a pinned toolkit in the store, as ``gpubuild toolchain list`` shows it."""
    if toolkit.rootfs is not None:
        return make.entry_key(toolkit)
    if vendor.is_served(toolkit):
        return vendor.store_name(toolkit)
    return f"{cuda_wheels.KIND}-{cuda_wheels.entry_key(toolkit.version, toolkit.pins)}"
