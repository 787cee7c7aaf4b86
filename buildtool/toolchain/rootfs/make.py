"""Making a root filesystem: mmdebstrap fetches and unpacks the pinned packages into a store entry.

No maintainer script runs and nothing is owned by anybody else, so no root and no subordinate ids are needed, and the
space can be given back like that of any folder. Packages that were fetched stay in the cache until the entry is made:
a run that was interrupted fetches only the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildtool.compat.model import Pin, PlanRootfs, PlanToolkit
from buildtool.errors import IntegrityError, MissingToolError, ProcessError
from buildtool.process import run
from buildtool.store.digest import sha256_of
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.paths import cache_root
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import delete_tree, require_space, storage_errors
from buildtool.toolchain.rootfs.layout import add_shader_compiler
from buildtool.toolchain.rootfs.record import KEPT, record
from buildtool.toolchain.rootfs.resolve import Resolved, explain, resolve
from buildtool.toolchain.rootfs.suite import Mirror, find_mirror

KIND = "rootfs"
LAYOUT = "2"  # part of every key: a change in how trees are made makes new entries
PROGRAM = "mmdebstrap"
POLL_S = 1.0
SPARE = 1.05  # file systems need some room of their own
# Run by mmdebstrap before it fetches: packages go where an interrupted run finds them again, and /bin, /lib and their
# like are links into /usr, as in every installed Debian.
HOOK = """#!/bin/sh
set -e
mkdir -p "$1/var/cache/apt" "$GPUBUILD_DEBS/partial"
rm -rf "$1/var/cache/apt/archives"
ln -s "$GPUBUILD_DEBS" "$1/var/cache/apt/archives"
for name in bin sbin lib lib32 lib64 libx32; do
    mkdir -p "$1/usr/$name"
    test -e "$1/$name" || ln -s "usr/$name" "$1/$name"
done
"""


def entry_key(toolkit: PlanToolkit) -> str:
    """Return the store key of a root filesystem: its name and a digest of its packages."""
    rootfs = _rootfs_of(toolkit)
    identity = "\n".join([LAYOUT, *rootfs.leave_out, *sorted(pin.sha256 for pin in toolkit.pins)])
    return f"{rootfs.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def _rootfs_of(toolkit: PlanToolkit) -> PlanRootfs:
    assert toolkit.rootfs is not None  # noqa: S101 - the provider says so
    return toolkit.rootfs


def ensure(
    toolkit: PlanToolkit, *, store: Store, progress: Progress | None = None, mirror: Mirror | None = None
) -> Entry:
    """Return the store entry of a root filesystem whose packages are pinned, making it first when it is not there.

    Raises:
        MissingToolError: mmdebstrap, apt or Debian's keys are not installed.
        NetworkError: the suite cannot be reached, or carries a pinned package no longer.
        IntegrityError: a signature or a hash does not fit.
        StorageError: there is not enough space, or the store cannot be written.
    """
    rootfs, shown = _rootfs_of(toolkit), progress or Silent()

    def fill(content: Path) -> Filled:
        program = shutil.which(PROGRAM)
        if program is None:
            what = "A root filesystem is made with mmdebstrap, which is not installed."
            raise MissingToolError(what, hint="Install it: apt-get install mmdebstrap")
        source = mirror or find_mirror()
        shown.note(f"Looking up {rootfs.name} in Debian {' and '.join(rootfs.suites)}.")
        costs = resolve(rootfs, source, toolkit.pins)
        debs = cache_root() / "downloads" / f"{KIND}-{key}"
        _require_room(content, debs, costs, rootfs.name)
        with storage_errors(content, rootfs.name):
            _unpack(content, debs, toolkit, source, costs, shown)
            _check_hashes(debs, toolkit.pins)
            record(content, debs, toolkit.pins)
            _tidy(content)
            if toolkit.kind == "vulkan":
                add_shader_compiler(content)
        delete_tree(debs)
        return _filled(toolkit)

    key = entry_key(toolkit)
    return store.ensure(KIND, key, fill, read_only=True, progress=progress)


def _filled(toolkit: PlanToolkit) -> Filled:
    """Return what the store keeps beside the tree."""
    rootfs = _rootfs_of(toolkit)
    wanted = {name.partition("/")[0] for name in rootfs.packages}
    return Filled(
        origin=f"Debian {rootfs.suites[-1]}",
        facts={
            "name": rootfs.name,
            "kind": toolkit.kind,
            "version": toolkit.version,
            "packages": ", ".join(f"{pin.name} {pin.version}" for pin in toolkit.pins if pin.name in wanted),
            "pins": pins_text(toolkit.pins),
        },
    )


def pins_text(pins: tuple[Pin, ...]) -> str:
    """Write pins as JSON, for the facts of an entry."""
    import msgspec

    return msgspec.json.encode(pins).decode()


def pins_of(entry: Entry) -> tuple[Pin, ...]:
    """Return the packages an entry was made of."""
    import msgspec

    return msgspec.json.decode(entry.facts["pins"], type=tuple[Pin, ...])


def _require_room(content: Path, debs: Path, costs: Resolved, name: str) -> None:
    """Refuse to begin what cannot end: packages and tree, which often share one file system."""
    there = _size(debs)
    fetch, tree = int(max(0, costs.download - there) * SPARE), int(costs.unpacked * SPARE)
    debs.parent.mkdir(parents=True, exist_ok=True)
    shared = debs.parent.stat().st_dev == content.stat().st_dev
    require_space(content, tree + fetch if shared else tree, f"the root filesystem {name}")
    if not shared:
        require_space(debs, fetch, f"the packages of {name}")


def _unpack(
    content: Path, debs: Path, toolkit: PlanToolkit, mirror: Mirror, costs: Resolved, progress: Progress
) -> None:
    """Run mmdebstrap for the pinned packages."""
    rootfs, draft = _rootfs_of(toolkit), content.parent
    hook, sources = draft / "hook", draft / "suite.sources"
    hook.write_text(HOOK, "utf-8")
    hook.chmod(0o755)
    sources.write_text(mirror.sources(rootfs.suites, rootfs.components), "utf-8")
    debs.mkdir(parents=True, exist_ok=True)
    argv = [
        PROGRAM,
        "--mode=chrootless",
        "--variant=extract",
        "--format=directory",
        f"--architectures={rootfs.architecture}",
        *(f"--aptopt={option}" for option in mirror.options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in rootfs.leave_out),
        *(f"--dpkgopt=path-include={pattern}" for pattern in KEPT),
        "--skip=download/empty",
        "--skip=cleanup/apt",
        f"--setup-hook={hook}",
        "--include=" + ",".join(f"{pin.name}={pin.version}" for pin in toolkit.pins),
        rootfs.suites[0],
        str(content),
        str(sources),
    ]
    env = {**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": str(draft), "GPUBUILD_DEBS": str(debs)}
    said = _Stages(debs, costs, progress)
    try:
        with said.watching():
            run(argv, env=env, on_line=said.line)
    except ProcessError as error:
        raise explain(error, rootfs, mirror) from error


class _Stages:
    """Tells how far mmdebstrap is: bytes while it fetches, a note while it unpacks."""

    def __init__(self, debs: Path, costs: Resolved, progress: Progress) -> None:
        self._debs, self._costs, self._progress = debs, costs, progress
        self._fetched = threading.Event()
        self._unpacking = False

    def line(self, text: str) -> None:
        if "extracting archives" in text:
            self._unpacking = True
            self._fetched.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._fetched.set()
            watcher.join()

    def _watch(self) -> None:
        self._progress.start("fetch packages", self._costs.download)
        before = 0
        while not self._fetched.wait(POLL_S):
            now = _size(self._debs)
            self._progress.advance(now - before)
            before = now
        self._progress.done()
        if self._unpacking:  # else it ended early
            self._progress.note(f"Unpacking {len(list(self._debs.glob('*.deb')))} packages; this takes minutes.")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.deb*"):
        with contextlib.suppress(OSError):  # apt renames files as it finishes them
            total += path.stat().st_size
    return total


def _check_hashes(debs: Path, pins: tuple[Pin, ...]) -> None:
    """Check that what was unpacked are the pinned files; apt has checked them against the signed index."""
    for pin in pins:
        try:
            digest = sha256_of(debs / pin.filename)
        except FileNotFoundError:
            digest = "that of no file"
        if digest != pin.sha256:
            what = f"{pin.filename} is not the pinned package."
            why = f"Its sha256 is {digest}, pinned is {pin.sha256}."
            delete_tree(debs)
            raise IntegrityError(what, why=why, hint="Try again; if it stays so, take another mirror.")


def _tidy(content: Path) -> None:
    """Remove what only apt would read, and what cannot be read by everybody."""
    (content / "var/cache/apt/archives").unlink(missing_ok=True)
    for name in ("var/lib/apt", "var/cache/apt", "dev", "proc", "sys", "run"):
        delete_tree(content / name)
