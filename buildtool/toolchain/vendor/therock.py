"""ROCm from AMD's TheRock archives: ``therock-dist-<system>-<family>-<version>.tar.gz``, one whole tree each.

No list of hashes comes with them: a ``.sha256sum`` or ``.sha256`` beside an archive is taken, else the archive is
fetched when it is pinned, and what came is what every later run must get.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from pathlib import Path

import msgspec

from buildtool.compat.model import Pin, PlanToolkit
from buildtool.compat.vendor import newest_first
from buildtool.errors import IntegrityError, MissingToolError, NetworkError, UnknownNameError
from buildtool.probe.model import Offered
from buildtool.process import run
from buildtool.store.archive import unpack
from buildtool.store.download import Downloads, Wanted
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.index import Index
from buildtool.store.members import Bounds
from buildtool.store.progress import Progress, Silent
from buildtool.toolchain.installed import rocm_toolchain
from buildtool.toolchain.vendor.channels import THEROCK, required_address
from buildtool.toolchain.vendor.room import require_room
from buildtool.toolchain.vendor.server import GoneError, Server

KIND = "rocm"
LAYOUT = "1"  # part of every key: a change in what is made of an archive makes new entries
UNPACKED = 5.0  # bytes on disk for one byte of archive; an estimate, since no archive of AMD's was at hand
BOUNDS = Bounds(max_bytes=64 << 30, max_members=500_000)
CLANG_TIMEOUT_S = 60.0
SUMS = (".sha256sum", ".sha256")
SYSTEMS = {"linux-x86_64": "linux"}
_NAME = re.compile(
    r"therock-dist-(?P<system>[a-z]+)-(?P<family>\w+(?:-\w+)?)-(?P<version>\d+\.\d+\.\d+[\w.+]*)\.tar\.gz"
)


def archive_name(family: str, version: str, platform: str) -> str:
    """Return the name of an archive."""
    return f"therock-dist-{SYSTEMS.get(platform, platform)}-{family}-{version}.tar.gz"


def offered(names: tuple[str, ...], platform: str) -> tuple[Offered, ...]:
    """Return what the archives that a server lists hold for machines of `platform`, newest first."""
    found = {
        (match["version"], match["family"])
        for name in names
        if (match := _NAME.fullmatch(name)) and match["system"] == SYSTEMS.get(platform)
    }
    offers = [Offered(kind="rocm", provider="therock", version=version, family=family) for version, family in found]
    return tuple(newest_first(offers))


def look_up(
    toolkit: PlanToolkit, platform: str, *, url: str | None = None, progress: Progress | None = None
) -> tuple[Pin, ...]:
    """Return the archive of a release and family, fixed.

    Raises:
        NetworkError: nobody named a server, or it cannot be reached.
        UnknownNameError: the server has no such archive.
        StorageError: there is no space to fetch and unpack it.
    """
    base = required_address(THEROCK, url)
    name = archive_name(toolkit.family, toolkit.version, platform)
    with Index() as index:
        server = Server(THEROCK, base, index)
        try:
            size = server.size(name)
        except GoneError as error:
            raise _no_archive(name, server, error) from error
        pin = Pin(name=f"therock-{toolkit.family}", version=toolkit.version, filename=name, sha256="", bytes=size)
        digest = _published_sum(server, name)
        if not digest:
            shown = progress or Silent()
            shown.note(f"{name} comes without a sha256 sum: it is fetched now, and what comes is pinned.")
            require_room(Store().root, (pin,), UNPACKED, f"ROCm {toolkit.version}")
            digest = Downloads(index, progress=progress).measure(server.url(name)).sha256
    return (msgspec.structs.replace(pin, sha256=digest),)


def _published_sum(server: Server, name: str) -> str:
    for ending in SUMS:
        try:
            text = server.text(name + ending)
        except GoneError:
            continue
        for line in text.splitlines():
            found = re.fullmatch(r"([0-9a-fA-F]{64})(?:\s+[* ]?(\S+))?\s*", line)
            if found and (found[2] or name).rpartition("/")[2] == name:
                return found[1].lower()
    return ""


def _no_archive(name: str, server: Server, error: GoneError) -> UnknownNameError | GoneError:
    try:
        names = [one for one in server.names() if _NAME.fullmatch(one)]
    except NetworkError:
        names = []
    if not names:
        return error
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    what = f"{server.shown()} has no {name}."
    return UnknownNameError(what, hint=f"Did you mean {near[0]}?" if near else "", details=tuple(sorted(names)[-10:]))


def assemble(toolkit: PlanToolkit, *, store: Store, progress: Progress | None = None, url: str | None = None) -> Entry:
    """Return the toolkit's store entry, fetching and unpacking its archive first when it is not there.

    Args:
        toolkit: a ROCm with one pin.
        store: where to.
        progress: told about the download and unpacking.
        url: the server's address (default: the environment's).

    Raises:
        NetworkError: nobody named a server, it cannot be reached, or the archive is gone.
        IntegrityError: it is not the pinned one, or holds no clang that runs.
        StorageError: there is not enough space, or the store cannot be written.
    """

    def fill(content: Path) -> Filled:
        base = required_address(THEROCK, url)
        (pin,) = toolkit.pins
        require_room(content, toolkit.pins, UNPACKED, f"ROCm {toolkit.version}")
        with Index() as index:
            wanted = Wanted(
                filename=pin.filename, sha256=pin.sha256, urls=(Server(THEROCK, base, index).url(pin.filename),)
            )
            with Downloads(index, progress=progress).fetched(wanted) as archive:
                unpack(archive, content, bounds=BOUNDS, progress=progress)
        check_clang(content, toolkit.version)
        return filled(toolkit, THEROCK.title)

    return store.ensure(KIND, store_key(toolkit), fill, read_only=True, progress=progress)


def filled(toolkit: PlanToolkit, origin: str, root: str = ".") -> Filled:
    """Return what the store keeps beside a ROCm's tree."""
    names = ", ".join(f"{pin.name} {pin.version}" for pin in toolkit.pins)
    return Filled(
        origin=f"{origin}, {toolkit.family}", facts={"version": toolkit.version, "wheels": names, "root": root}
    )


def check_clang(root: Path, version: str) -> None:
    """Make sure that a tree is a ROCm whose compiler runs on this machine.

    Raises:
        IntegrityError: it is not.
        ProcessError: the compiler does not run.
    """
    try:
        options, _ = rocm_toolchain(root, version)
    except MissingToolError as error:
        what = f"What was fetched as ROCm {version} holds no compiler."
        raise IntegrityError(what, why="There is no clang++ in llvm/bin or lib/llvm/bin.") from error
    run([options["CMAKE_HIP_COMPILER"], "--version"], timeout_s=CLANG_TIMEOUT_S)


def store_key(toolkit: PlanToolkit) -> str:
    """Return the store key of a ROCm: version, family and a digest of what it is made of."""
    identity = "\n".join([LAYOUT, *sorted(pin.sha256 for pin in toolkit.pins)])
    return f"{toolkit.version}-{toolkit.family}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
