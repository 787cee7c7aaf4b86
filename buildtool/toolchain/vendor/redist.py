"""A CUDA toolkit made of NVIDIA's redistributable archives, as a manifest of their server lists them.

``redistrib_<version>.json`` names every component of a release with the path, sha256 and size of its archive for each
machine. Each archive holds one folder with a part of a toolkit; together they make one.
"""

from __future__ import annotations

import difflib
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec

from buildtool.compat.model import Pin, PlanToolkit
from buildtool.compat.vendor import REDIST_PLATFORMS, redist_components
from buildtool.compat.versions import Release
from buildtool.errors import IncompatibleError, IntegrityError, NetworkError, UnknownNameError
from buildtool.store.archive import unpack
from buildtool.store.download import Downloads, Wanted
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.index import Index
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree
from buildtool.toolchain.cuda_wheels import KIND, check_nvcc, complete, entry_key
from buildtool.toolchain.vendor.channels import REDIST, required_address
from buildtool.toolchain.vendor.merge import merge
from buildtool.toolchain.vendor.room import require_room
from buildtool.toolchain.vendor.server import GoneError, Server

# Bytes on disk for one byte of archive: 1.8 measured with CUDA 13.0, and some room.
UNPACKED = 2.2
# Static cuBLAS is as large as everything else together, and ggml links the shared one.
_UNUSED = re.compile(r"/libcublas(Lt)?_static\.a$")
_MANIFEST = re.compile(r"redistrib_(\d+\.\d+\.\d+)\.json")
_PATH = re.compile(r"[\w.+-]+(/[\w.+-]+)*", re.ASCII)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    relative_path: str
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}$")]
    size: int


def manifest_name(version: str) -> str:
    """Return the name of a release's manifest."""
    return f"redistrib_{version}.json"


def releases(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the releases whose manifests a server lists, newest first."""
    found = {match[1] for name in names if (match := _MANIFEST.fullmatch(name))}
    return tuple(sorted(found, key=Release.parse, reverse=True))


def parse_manifest(text: str, version: str, platform: str) -> tuple[Pin, ...]:
    """Read which archives make the toolkit of a release on a machine of `platform`.

    Raises:
        IntegrityError: it is no such manifest.
        IncompatibleError: NVIDIA has no toolkit of this release for this machine.
    """
    what = f"{manifest_name(version)} is not a list of NVIDIA's redistributables."
    machine = REDIST_PLATFORMS.get(platform, platform)
    try:
        content = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise IntegrityError(what, why=str(error), hint=f"Check the address in {REDIST.variable}.") from error
    pins: list[Pin] = []
    for name in redist_components(version):
        component = content.get(name)
        if not isinstance(component, dict) or machine not in component:
            raise _no_component(name, version, machine)
        try:
            file = msgspec.convert(component[machine], _File, strict=False)
            number = str(Release.parse(str(component.get("version"))))
        except (msgspec.ValidationError, ValueError) as error:
            raise IntegrityError(what, why=f"{name}: {error}") from error
        pins.append(Pin(name=name, version=number, filename=_safe(file.relative_path), sha256=file.sha256.lower(),
                        bytes=file.size))  # fmt: skip
    return tuple(pins)


def _safe(path: str) -> str:
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        what = f"The manifest names {path!r}, which is no file below the server's address."
        raise IntegrityError(what, hint="Do not use this server.")
    return path


def _no_component(name: str, version: str, machine: str) -> IncompatibleError:
    what = f"NVIDIA's redistributables of CUDA {version} hold no {name} for {machine}."
    return IncompatibleError(what, hint="Take another release: gpubuild toolchain list --available")


def look_up(release: str, platform: str, *, url: str | None = None) -> tuple[str, tuple[Pin, ...]]:
    """Return nvcc's own version and the archives of a release, asked from the server.

    Raises:
        NetworkError: nobody named a server, or it cannot be reached.
        UnknownNameError: the server has no such release.
        IntegrityError, IncompatibleError: as `parse_manifest`.
    """
    base = required_address(REDIST, url)
    with Index() as index:
        server = Server(REDIST, base, index)
        try:
            text = server.text(manifest_name(release))
        except GoneError as error:
            raise _no_release(release, server, error) from error
    pins = parse_manifest(text, release, platform)
    return next(pin.version for pin in pins if pin.name == "cuda_nvcc"), pins


def _no_release(version: str, server: Server, error: GoneError) -> UnknownNameError | GoneError:
    try:
        offered = releases(server.names())
    except NetworkError:
        offered = ()
    if not offered:
        return error
    what = f"{server.shown()} has no CUDA {version}."
    near = difflib.get_close_matches(version, offered, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else "Take one of those."
    return UnknownNameError(what, hint=hint, details=(f"On offer: {', '.join(offered)}",))


def assemble(
    toolkit: PlanToolkit, cc: str, *, store: Store, progress: Progress | None = None, url: str | None = None
) -> Entry:
    """Return the toolkit's store entry, fetching and merging its archives first when it is not there.

    What was fetched before an interruption is not fetched again.

    Args:
        toolkit: a CUDA toolkit with `pins`.
        cc: host C compiler, for the driver's stub where the archives bring none.
        store: where to.
        progress: told about downloads, unpacking and waiting.
        url: the server's address (default: the environment's).

    Raises:
        NetworkError: nobody named a server, it cannot be reached, or an archive is gone.
        IntegrityError: an archive is not the pinned one, or the result does not answer as nvcc of that version.
        StorageError: there is not enough space, or the store cannot be written.
    """

    def fill(content: Path) -> Filled:
        base = required_address(REDIST, url)
        require_room(content, toolkit.pins, UNPACKED, f"CUDA {toolkit.version}")
        with Index() as index, ExitStack() as fetched:
            server, downloads = Server(REDIST, base, index), Downloads(index, progress=progress)
            archives = {
                pin.name: fetched.enter_context(downloads.fetched(_wanted(server, pin))) for pin in toolkit.pins
            }
            for name, archive in archives.items():
                part = content / ".part"
                part.mkdir()
                unpack(archive, part, wanted=_is_used, progress=progress)
                merge(name, part, content)
                delete_tree(part)
        if sys.platform != "win32":
            complete(content, cc)
        check_nvcc(content, toolkit.version)
        names = ", ".join(f"{pin.name} {pin.version}" for pin in toolkit.pins)
        return Filled(origin=REDIST.title, facts={"version": toolkit.version, "wheels": names, "root": "."})

    return store.ensure(KIND, store_key(toolkit), fill, read_only=True, progress=progress)


def _is_used(name: str) -> bool:
    return _UNUSED.search(name) is None


def store_key(toolkit: PlanToolkit) -> str:
    """Return the store key of a toolkit made of archives."""
    return f"{entry_key(toolkit.version, toolkit.pins)}-redist"


def _wanted(server: Server, pin: Pin) -> Wanted:
    return Wanted(filename=pin.filename.rpartition("/")[2], sha256=pin.sha256, urls=(server.url(pin.filename),))
