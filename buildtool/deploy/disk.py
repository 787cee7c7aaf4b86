"""Every change a transaction makes to a file system: one small class, so that tests can let each of them fail.

Files are synced before their folder is, and a folder after each rename in it: what is on disk after a power cut is
what the journal says.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from buildtool.store.storage import delete_tree

CHUNK = 4 << 20
ABSENT = ""


class Disk:
    """Changes, each atomic or repeatable."""

    def copy(self, source: Path, place: Path) -> None:
        """Copy a file or a tree to a new place, with modes and times, and sync it."""
        if source.is_symlink():
            place.symlink_to(source.readlink())
        elif source.is_dir():
            place.mkdir()
            for one in sorted(source.iterdir()):
                self.copy(one, place / one.name)
            shutil.copystat(source, place)
            self.sync(place)
        else:
            self.copy_file(source, place)

    def copy_file(self, source: Path, place: Path) -> None:
        """Copy one file."""
        with source.open("rb") as origin, place.open("xb") as target:
            shutil.copyfileobj(origin, target, CHUNK)
            target.flush()
            os.fsync(target.fileno())
        shutil.copystat(source, place)

    def write(self, place: Path, content: bytes, mode: int = 0o644) -> None:
        """Put a file's content in place by one rename; what stood there before is there until then."""
        draft = place.with_name(f".{place.name}.gpubuild-draft")
        draft.unlink(missing_ok=True)
        with draft.open("xb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        draft.chmod(mode)
        self.rename(draft, place)

    def rename(self, old: Path, new: Path) -> None:
        """Move something within one file system."""
        old.rename(new)
        self.sync(new.parent)
        if old.parent != new.parent:
            self.sync(old.parent)

    def make(self, folder: Path) -> None:
        """Make a folder and its parents, if they are not there."""
        folder.mkdir(parents=True, exist_ok=True)

    def remove(self, place: Path) -> None:
        """Take a file or a tree away, if it is there."""
        if place.is_symlink() or place.is_file():
            place.unlink()
        else:
            delete_tree(place)

    def touch(self, folder: Path, changed_ns: int) -> None:
        """Give a folder the time of change that it had before."""
        if folder.is_dir():
            os.utime(folder, ns=(folder.stat().st_atime_ns, changed_ns))

    def sync(self, folder: Path) -> None:
        """Make sure that the names in a folder are on disk."""
        if os.name != "posix":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(place: Path) -> str:
    """Return the sha256 of a file or tree with its names, modes and links; `ABSENT` where nothing is."""
    if not place.exists() and not place.is_symlink():
        return ABSENT
    total = hashlib.sha256()
    for name, words in entries(place):
        total.update(f"{name}\0{words}\n".encode())
    return total.hexdigest()


def entries(place: Path) -> Iterator[tuple[str, str]]:
    """Yield what lies below a path: its relative name, and kind, mode and content in one word."""
    yield from _entries(place, "")


def _entries(place: Path, name: str) -> Iterator[tuple[str, str]]:
    if place.is_symlink():
        yield name, f"link {place.readlink()}"
        return
    mode = stat.S_IMODE(place.stat().st_mode)
    if place.is_dir():
        yield name, f"folder {mode:o}"
        for one in sorted(place.iterdir()):
            yield from _entries(one, f"{name}/{one.name}" if name else one.name)
        return
    with place.open("rb") as stream:
        yield name, f"file {mode:o} {hashlib.file_digest(stream, 'sha256').hexdigest()}"
