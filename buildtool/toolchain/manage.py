"""What ``gpubuild toolchain`` does: list, install, show and remove the toolkits of the store."""

from __future__ import annotations

import difflib
import platform
import sys

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.compat.pypi_sets import CudaSet, cuda_sets, matching_sets
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.store.entries import Entry, Store
from buildtool.store.progress import Progress
from buildtool.toolchain.cuda_wheels import KIND, entry_key, toolkit_root
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.provide import acquire

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}


class InstalledToolkit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolkit in the store.

    Attributes:
        name: how to name it in ``show`` and ``remove``.
        kind: ``cuda``.
        version: nvcc's version.
        origin: where it came from.
        wheels: the packages in it, with versions.
        path: its root directory.
        bytes: its size on disk.
        files: number of files.
        created: UTC time, ISO 8601.
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


def platform_name() -> str:
    """Return this machine's platform as the data tables name it: ``linux-x86_64``."""
    machine = platform.machine().lower()
    return f"{SYSTEMS.get(sys.platform, sys.platform)}-{MACHINES.get(machine, machine)}"


def installed(store: Store | None = None) -> list[InstalledToolkit]:
    """Return the toolkits in the store, newest version last."""
    return [_describe(entry) for entry in (store or Store()).entries(KIND)]


def show(name: str, store: Store | None = None) -> InstalledToolkit:
    """Return one toolkit of the store, named as ``13.0.88``, ``cuda==13.0.88`` or by its full name.

    Raises:
        UnknownNameError: the store has no such toolkit, or several that the name fits.
    """
    toolkits = installed(store)
    wanted = name.removeprefix("cuda").lstrip("= -")
    exact = [toolkit for toolkit in toolkits if toolkit.name in (name, f"cuda-{wanted}")]
    fitting = exact or [toolkit for toolkit in toolkits if toolkit.version == wanted]
    if len(fitting) == 1:
        return fitting[0]
    names = [toolkit.name for toolkit in toolkits]
    if fitting:
        what = f"Several toolkits fit {name!r}."
        raise UnknownNameError(what, hint="Name one of them in full.", details=tuple(t.name for t in fitting))
    what = f"The store has no toolkit {name!r}."
    near = difflib.get_close_matches(f"cuda-{wanted}", names, n=1, cutoff=0.4)
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
    store.remove(KIND, toolkit.name.removeprefix(f"{KIND}-"))
    return toolkit


def available(platform: str) -> tuple[CudaSet, ...]:
    """Return the toolkits that can be fetched for `platform`, newest first; of one nvcc version only the newest."""
    newest = {row.version: row for row in reversed(cuda_sets()) if row.platform == platform}
    return tuple(reversed(newest.values()))


def choose(spec: str, platform: str) -> CudaSet:
    """Pick the newest set of wheels that meets `spec`, such as ``cuda==13.0.*``.

    Raises:
        InvalidInputError: `spec` cannot be read.
        UnknownNameError: it names no toolkit.
        IncompatibleError: no such version can be fetched for this platform.
    """
    try:
        need = Requirement(spec)
    except InvalidRequirement as error:
        what = f"{spec!r} does not name a toolkit."
        raise InvalidInputError(what, why=str(error).partition("\n")[0], hint='Write it as "cuda==13.0.*".') from error
    kind = need.name.lower()
    if kind != KIND:
        what = f"A toolkit {need.name!r} cannot be installed."
        if kind in {"rocm", "hip", "vulkan"}:
            hint = "Package registries hold no complete one: install it from your distribution or its vendor."
            raise IncompatibleError(what, hint=hint)
        near = difflib.get_close_matches(kind, [KIND], n=1, cutoff=0.4)
        raise UnknownNameError(what, hint=f"Did you mean {near[0]}?" if near else 'Try "cuda==13.*".')
    sets = matching_sets(str(need.specifier), platform)
    if sets:
        return sets[0]
    offered = sorted({row.meta for row in cuda_sets() if row.platform == platform}, reverse=True)
    what = f"No CUDA toolkit that meets {spec!r} can be fetched for {platform}."
    why = f"NVIDIA publishes none for {platform}."
    if offered:
        why = "NVIDIA's wheels hold a compiler only from 13.0 on, and none of those is meant."
    hint = "Take one of the versions above, or install the toolkit itself: gpubuild finds and uses it."
    raise IncompatibleError(what, why=why, hint=hint, details=(f"On offer: {', '.join(offered)}",) if offered else ())


def install(
    spec: str, compiler: PlanCompiler, *, progress: Progress | None = None, store: Store | None = None
) -> tuple[InstalledToolkit, Toolchain]:
    """Fetch a toolkit into the store, unless it is there.

    Args:
        spec: such as ``cuda==13.0.*``.
        compiler: the host compiler it will work with.
        progress: told about downloads, unpacking and waiting.
        store: where to (default: the user's store).

    Raises:
        GpubuildError: see `choose` and `buildtool.toolchain.acquire`.
    """
    store = store or Store()
    chosen = choose(spec, platform_name())
    toolkit = PlanToolkit(kind="cuda", version=chosen.version, provider="pypi", pins=chosen.pins)
    toolchain = acquire(toolkit, compiler, progress=progress, store=store)
    return show(f"{KIND}-{entry_key(chosen.version, chosen.pins)}", store), toolchain


def _describe(entry: Entry) -> InstalledToolkit:
    return InstalledToolkit(
        name=f"{entry.kind}-{entry.key}",
        kind=entry.kind,
        version=entry.facts.get("version", ""),
        origin=entry.origin,
        wheels=tuple(entry.facts.get("wheels", "").split(", ")),
        path=str(toolkit_root(entry.path)),
        bytes=entry.bytes,
        files=entry.files,
        created=entry.created,
    )
