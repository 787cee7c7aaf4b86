"""Unpack untrusted archives: tar (plain, gzip, bzip2, xz) and zip/wheel.

An archive may write only below the folder it is given: no absolute names, no ``..``, no links that leave
the tree, no devices or pipes, no set-user-id bits, and no more bytes or members than its bound. Symbolic
links are created after every file, so that nothing is ever written through one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from buildtool.store.members import CHUNK, Bounds, Member, checked_name, damage_told, members_of, refuse
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import storage_errors


class _Writer:
    """Writes checked members below one folder and keeps count."""

    def __init__(self, archive: Path, into: Path, bounds: Bounds) -> None:
        self.archive, self.into, self.bounds = archive, into, bounds
        self.root = Path(os.path.realpath(into))
        self.links: list[Member] = []
        self.bytes = self.members = 0
        self._folders: set[Path] = set()

    def count(self, member: Member) -> None:
        self.members += 1
        if self.members > self.bounds.max_members:
            raise refuse(self.archive, member.name, f"is one of more than {self.bounds.max_members} members")

    def _room(self, member: Member, size: int) -> None:
        self.bytes += size
        if self.bytes > self.bounds.max_bytes:
            why = f"makes the archive grow past the bound of {self.bounds.max_bytes} bytes"
            raise refuse(self.archive, member.name, why)

    def folder(self, member: Member, path: Path) -> None:
        if path in self._folders:
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise refuse(self.archive, member.name, "is both a file and a folder") from error
        self._folders.add(path)

    def file(self, member: Member, content: IO[bytes]) -> None:
        path = self.into / member.name
        self.folder(member, path.parent)
        try:
            with path.open("xb") as out:
                while data := content.read(CHUNK):
                    self._room(member, len(data))
                    out.write(data)
        except (FileExistsError, IsADirectoryError) as error:
            raise refuse(self.archive, member.name, "appears twice") from error
        path.chmod(0o755 if member.executable else 0o644)

    def hardlink(self, member: Member) -> None:
        origin = self.into / checked_name(self.archive, member.target, link=member.name)
        if not origin.is_file():
            raise refuse(self.archive, member.name, f"links to {member.target!r}, which is not unpacked")
        executable = bool(origin.stat().st_mode & stat.S_IXUSR)
        with origin.open("rb") as content:
            self.file(msgspec.structs.replace(member, executable=executable), content)

    def symlinks(self) -> None:
        for member in self.links:
            path = self.into / member.name
            # Before its folder is made: a link may lead out, and no folder may appear there.
            if Path(os.path.realpath(path.parent)) != self.root / PurePosixPath(member.name).parent:
                raise refuse(self.archive, member.name, "lies below a link")
            self.folder(member, path.parent)
            if member.target.startswith("/") or re.match(r"^[A-Za-z]:|.*[\\\0]", member.target):
                raise refuse(self.archive, member.name, f"links to the absolute path {member.target!r}")
            if not member.target:
                raise refuse(self.archive, member.name, "is a link to nothing")
            try:
                path.symlink_to(member.target)
            except FileExistsError as error:
                raise refuse(self.archive, member.name, "appears twice") from error
        check_links(self.archive, self.into)


def check_links(archive: Path, tree: Path) -> None:
    """Check that every symbolic link under `tree` stays inside it.

    Raises:
        UnsafeArchiveError: one does not.
    """
    root = Path(os.path.realpath(tree))
    for folder, folders, names in os.walk(tree):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                raise refuse(archive, path.relative_to(tree).as_posix(), "links out of the tree")


def unpack(
    archive: Path,
    into: Path,
    *,
    wanted: Callable[[str], bool] | None = None,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> None:
    """Unpack `archive` below the existing, empty folder `into`. On failure, what was written stays there.

    Args:
        archive: a tar file (plain, gzip, bzip2, xz) or a zip file (also a wheel), told apart by content.
        into: where to; the caller discards it on failure.
        wanted: given the name of a member, whether to write it; all members are checked either way.
        bounds: what the archive may cost.
        progress: told how many bytes of the archive are done.

    Raises:
        UnsafeArchiveError: a member would write outside, is a device, or the bound is passed.
        IntegrityError: the archive is damaged or of no known kind.
        StorageError: the disk is full or `into` cannot be written.
    """
    progress = progress or Silent()
    writer = _Writer(archive, into, bounds or Bounds())
    progress.start(f"unpack {archive.name}", archive.stat().st_size)
    try:
        with storage_errors(into, f"the content of {archive.name}"), damage_told(archive):
            before = 0
            for member, content, position in members_of(archive, writer.bounds):
                writer.count(member)
                progress.advance(position - before)
                before = position
                if wanted is None or wanted(member.name):
                    _write(writer, member, content)
            writer.symlinks()
    finally:
        progress.done()


def _write(writer: _Writer, member: Member, content: Callable[[], IO[bytes]]) -> None:
    if member.kind == "dir":
        writer.folder(member, writer.into / member.name)
    elif member.kind == "symlink":
        writer.links.append(member)
    elif member.kind == "hardlink":
        writer.hardlink(member)
    else:
        with content() as stream:
            writer.file(member, stream)
