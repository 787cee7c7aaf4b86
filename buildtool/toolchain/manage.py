"""The toolkits of the store: list, show and remove them; `buildtool.toolchain.install` adds to them."""

from __future__ import annotations

import difflib
from pathlib import Path

import msgspec

from buildtool.compat.versions import TOOLKITS
from buildtool.errors import IntegrityError, UnknownNameError
from buildtool.store.entries import Entry, Store
from buildtool.toolchain import cuda_wheels
from buildtool.toolchain.rootfs import make
from buildtool.toolchain.vendor import therock

# The store's names for toolkits: CUDA, ROCm of AMD's server, root filesystems.
KINDS = (cuda_wheels.KIND, therock.KIND, make.KIND)


class InstalledToolkit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolkit in the store.

    Attributes:
        name: how to name it in ``show`` and ``remove``.
        kind: ``cuda`` or ``rocm``.
        version: nvcc's version, or the release of a root filesystem.
        origin: where it came from.
        wheels: the packages or archives in it, with versions; of a root filesystem, those that were asked for.
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


def installed(store: Store | None = None) -> list[InstalledToolkit]:
    """Return the toolkits in the store, newest version last."""
    store = store or Store()
    return [_describe(entry) for kind in KINDS for entry in store.entries(kind)]


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


def root_of(entry: Entry) -> Path:
    """Return the root directory of a toolkit in an entry; of a damaged one, which can still be removed, the entry's."""
    if "root" in entry.facts:
        return (entry.path / entry.facts["root"]).resolve()
    if entry.kind == make.KIND:
        return entry.path
    try:
        return cuda_wheels.toolkit_root(entry.path)
    except IntegrityError:
        return entry.path


def _describe(entry: Entry) -> InstalledToolkit:
    made = entry.kind == make.KIND
    return InstalledToolkit(
        name=entry.key if made else f"{entry.kind}-{entry.key}",
        kind=entry.facts.get("kind", entry.kind),
        version=entry.facts.get("version", ""),
        origin=entry.origin,
        wheels=tuple(entry.facts.get("packages" if made else "wheels", "").split(", ")),
        path=str(root_of(entry)),
        bytes=entry.bytes,
        files=entry.files,
        created=entry.created,
        store_kind=entry.kind,
        key=entry.key,
    )
