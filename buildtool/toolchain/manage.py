"""What ``gpubuild toolchain`` does: list, install, show and remove the toolkits of the store."""

from __future__ import annotations

import difflib
import platform
import sys

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from buildtool.compat.assemble import plan_rootfs
from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.compat.pypi_sets import CudaSet, cuda_sets, matching_sets
from buildtool.compat.rootfs import RootfsRow, rootfs_for, rootfs_row
from buildtool.compat.versions import TOOLKITS, Release, parse_wish
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.store.entries import Entry, Store
from buildtool.store.progress import Progress
from buildtool.toolchain import cuda_wheels
from buildtool.toolchain.cuda_wheels import toolkit_root
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.provide import acquire, pinned, require_usable
from buildtool.toolchain.rootfs import make
from buildtool.toolchain.rootfs.suite import Mirror

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}


class InstalledToolkit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolkit in the store.

    Attributes:
        name: how to name it in ``show`` and ``remove``.
        kind: ``cuda`` or ``rocm``.
        version: nvcc's version, or the release of a root filesystem.
        origin: where it came from.
        wheels: the packages in it, with versions; of a root filesystem, those that were asked for.
        path: its root directory.
        bytes: its size on disk.
        files: number of files.
        created: UTC time, ISO 8601.
        store_kind: the store's name for its entries.
        key: the store's name for this entry.
    """

    name: str
    kind: str
    version: str
    origin: str
    wheels: tuple[str, ...]
    path: str
    bytes: int
    files: int
    created: str
    store_kind: str
    key: str


def platform_name() -> str:
    """Return this machine's platform as the data tables name it: ``linux-x86_64``."""
    machine = platform.machine().lower()
    return f"{SYSTEMS.get(sys.platform, sys.platform)}-{MACHINES.get(machine, machine)}"


def installed(store: Store | None = None) -> list[InstalledToolkit]:
    """Return the toolkits in the store, newest version last."""
    store = store or Store()
    return [_describe(entry) for kind in (cuda_wheels.KIND, make.KIND) for entry in store.entries(kind)]


def show(name: str, store: Store | None = None) -> InstalledToolkit:
    """Return one toolkit of the store, named as ``13.0.88``, ``cuda==13.0.88``, ``rocm 7.0`` or by its full name.

    Raises:
        UnknownNameError: the store has no such toolkit, or several that the name fits.
    """
    toolkits = installed(store)
    kind = next((kind for kind in TOOLKITS if name.lower().startswith(kind)), "")
    wanted = name[len(kind) :].lstrip("= -")
    exact = [toolkit for toolkit in toolkits if toolkit.name in {name, f"cuda-{wanted}"}]
    fitting = exact or [one for one in toolkits if one.version == wanted and kind in {"", one.kind}]
    if len(fitting) == 1:
        return fitting[0]
    names = [toolkit.name for toolkit in toolkits]
    if fitting:
        what = f"Several toolkits fit {name!r}."
        raise UnknownNameError(what, hint="Name one of them in full.", details=tuple(t.name for t in fitting))
    what = f"The store has no toolkit {name!r}."
    near = difflib.get_close_matches(f"{kind or 'cuda'}-{wanted}", names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}?" if near else "See what is there: gpubuild toolchain list"
    raise UnknownNameError(what, hint=hint, details=tuple(names))


def remove(name: str, store: Store | None = None) -> InstalledToolkit:
    """Delete one toolkit and return what it was; its size is what was given back.

    Raises:
        UnknownNameError: see `show`.
        StorageError: another run uses it, or it cannot be deleted.
    """
    store = store or Store()
    toolkit = show(name, store)
    store.remove(toolkit.store_kind, toolkit.key)
    return toolkit


def available(platform: str) -> tuple[CudaSet, ...]:
    """Return the toolkits that can be fetched for `platform`, newest first; of one nvcc version only the newest."""
    newest = {row.version: row for row in reversed(cuda_sets()) if row.platform == platform}
    return tuple(reversed(newest.values()))


def available_rootfs(platform: str) -> tuple[RootfsRow, ...]:
    """Return the root filesystems that can be made on `platform`."""
    return tuple(row for kind in TOOLKITS for row in rootfs_for(kind, platform))


def choose(spec: str, platform: str) -> CudaSet | RootfsRow:
    """Pick the newest set of wheels that meets `spec`, such as ``cuda==13.0.*``, else a root filesystem.

    Raises:
        InvalidInputError: `spec` cannot be read.
        UnknownNameError: it names no toolkit.
        IncompatibleError: no such version can be fetched for this platform.
    """
    named = rootfs_row(spec)
    if named is not None:
        return named
    try:
        need = Requirement(spec)
    except InvalidRequirement as error:
        what = f"{spec!r} does not name a toolkit."
        raise InvalidInputError(what, why=str(error).partition("\n")[0], hint='Write it as "cuda==13.0.*".') from error
    kind = need.name.lower()
    if kind not in TOOLKITS:
        what = f"A toolkit {need.name!r} cannot be installed."
        near = difflib.get_close_matches(kind, TOOLKITS, n=1, cutoff=0.4)
        raise UnknownNameError(what, hint=f"Did you mean {near[0]}?" if near else 'Try "cuda==13.*" or "rocm==7.*".')
    sets = matching_sets(str(need.specifier), platform) if kind == "cuda" else ()
    if sets:
        return sets[0]
    wish = parse_wish(f"{kind}{need.specifier}")
    rows = [row for row in rootfs_for(kind, platform) if wish.admits(row.version)]
    if rows:
        return min(rows, key=lambda row: (row.rank, [-number for number in Release.parse(row.version).numbers]))
    raise _no_such(spec, kind, platform)


def _no_such(spec: str, kind: str, platform: str) -> IncompatibleError:
    wheels = [row.meta for row in cuda_sets() if row.platform == platform] if kind == "cuda" else []
    offered = sorted({*wheels, *(row.version for row in rootfs_for(kind, platform))}, key=Release.parse, reverse=True)
    name = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan"}[kind]
    what = f"No {name} toolkit that meets {spec!r} can be fetched for {platform}."
    why = (
        "None of those on offer is meant." if offered else f"Nobody publishes one for {platform} that gpubuild fetches."
    )
    install = "nstall the toolkit itself: gpubuild finds and uses it."
    hint = f"Take one of the versions above, or i{install}" if offered else f"I{install}"
    return IncompatibleError(what, why=why, hint=hint, details=(f"On offer: {', '.join(offered)}",) if offered else ())


def install(
    spec: str,
    compiler: PlanCompiler | None,
    *,
    progress: Progress | None = None,
    store: Store | None = None,
    mirror: Mirror | None = None,
) -> tuple[InstalledToolkit, Toolchain]:
    """Fetch a toolkit into the store, unless it is there.

    Args:
        spec: such as ``cuda==13.0.*``.
        compiler: the host compiler it will work with; most root filesystems have their own.
        progress: told about downloads, unpacking and waiting.
        store: where to (default: the user's store).
        mirror: where Debian packages come from (default: apt's configuration).

    Raises:
        GpubuildError: see `choose` and `buildtool.toolchain.acquire`.
    """
    store = store or Store()
    chosen = choose(spec, platform_name())
    if isinstance(chosen, RootfsRow):
        compiler = _inside(chosen) or compiler
        assert compiler is not None  # noqa: S101 - as below
        rootfs = plan_rootfs(chosen)
        toolkit = PlanToolkit(kind=chosen.kind, version=chosen.version, provider="rootfs", rootfs=rootfs)
        require_usable(toolkit)
        exact = pinned(toolkit, progress=progress, store=store, mirror=mirror)
        toolchain = acquire(exact, compiler, progress=progress, store=store, mirror=mirror)
        return show(make.entry_key(exact), store), toolchain
    assert compiler is not None  # noqa: S101 - only a root filesystem can have its own
    toolkit = PlanToolkit(kind="cuda", version=chosen.version, provider="pypi", pins=chosen.pins)
    toolchain = acquire(toolkit, compiler, progress=progress, store=store)
    return show(f"{cuda_wheels.KIND}-{cuda_wheels.entry_key(chosen.version, chosen.pins)}", store), toolchain


def _inside(row: RootfsRow) -> PlanCompiler | None:
    """Return the compiler of a root filesystem that has one."""
    inside = row.compiler
    if inside is None:
        return None
    return PlanCompiler(family=inside.family, version=inside.version, cxx=inside.cxx, cc=inside.cc or inside.cxx)


def _describe(entry: Entry) -> InstalledToolkit:
    made = entry.kind == make.KIND
    return InstalledToolkit(
        name=entry.key if made else f"{entry.kind}-{entry.key}",
        kind=entry.facts.get("kind", entry.kind),
        version=entry.facts.get("version", ""),
        origin=entry.origin,
        wheels=tuple(entry.facts.get("packages" if made else "wheels", "").split(", ")),
        path=str(entry.path if made else toolkit_root(entry.path)),
        bytes=entry.bytes,
        files=entry.files,
        created=entry.created,
        store_kind=entry.kind,
        key=entry.key,
    )
