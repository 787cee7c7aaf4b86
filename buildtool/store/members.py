"""Read the members of an untrusted tar or zip file, front to back, each one checked before it is handed on."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

import msgspec

from buildtool.errors import IntegrityError, UnsafeArchiveError

CHUNK = 1 << 20
MAX_HEADER = 16 << 20  # a tar extension header larger than this is an attack on memory
MAX_LINK = 4096
ZIP_UNIX = 3  # "version made by" of an archive with Unix modes (APPNOTE 4.4.2)
# What the standard library's readers raise on bad content; an encrypted zip member is a RuntimeError there.
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one archive may cost: unpacked bytes and number of members."""

    max_bytes: int = 8 << 30
    max_members: int = 200_000


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One checked entry of an archive. `target` is set for links; `size` is what the archive claims."""

    name: str
    kind: str  # "file", "dir", "symlink", "hardlink"
    size: int = 0
    executable: bool = False
    target: str = ""


# A member, how to open its content, and how far the archive has been read (bytes).
Entry = tuple[Member, Callable[[], IO[bytes]], int]


def refuse(archive: Path, member: str, why: str) -> UnsafeArchiveError:
    """Describe a member that must not be unpacked."""
    return UnsafeArchiveError(
        f"The archive {archive.name} is not safe to unpack: {member!r} {why}.",
        hint="Do not use this file. If you trust its origin, report it there.",
    )


def checked_name(archive: Path, name: str, *, link: str | None = None) -> str:
    """Return `name` normalised to ``a/b/c`` ("" for the root itself).

    Args:
        archive: for the message.
        name: as the archive gives it.
        link: the member that points at `name`, when it is not a member's own name.

    Raises:
        UnsafeArchiveError: it is absolute, climbs, or means something else on another system.
    """
    told, noun = (name, "name") if link is None else (link, "target")
    if "\\" in name or "\0" in name:
        raise refuse(archive, told, f"has a backslash or a NUL in its {noun}")
    if name.startswith("/") or re.match(r"^[A-Za-z]:", name):
        raise refuse(archive, told, f"has an absolute {noun}")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise refuse(archive, told, f"has a {noun} that climbs out of the folder with '..'")
    return "/".join(parts)


def members_of(archive: Path, bounds: Bounds) -> Iterator[Entry]:
    """Yield the members of a tar file (plain, gzip, bzip2, xz) or a zip file, told apart by content.

    Raises:
        UnsafeArchiveError: a member is of a forbidden kind or name, or the stream passes its bound.
        IntegrityError: the archive is damaged or of no known kind.
    """
    if zipfile.is_zipfile(archive):
        return _zip_members(archive)
    return _tar_members(archive, bounds)


@contextmanager
def damage_told(archive: Path) -> Iterator[None]:
    """Turn what the standard library's readers raise on bad content into `IntegrityError`."""
    what = f"The archive {archive.name} is damaged."
    hint = "Delete it and fetch it again."
    try:
        yield
    except DAMAGED as error:
        raise IntegrityError(what, why=str(error), hint=hint) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise IntegrityError(what, why=str(error), hint=hint) from error


class _Bounded:
    """A forward-only view of a decompressed stream that refuses to grow past its bound."""

    def __init__(self, stream: IO[bytes], archive: Path, limit: int) -> None:
        self._stream, self._archive, self._limit = stream, archive, limit
        self._at = 0
        self._last = b""  # tarfile steps back one byte to prove that a member was complete
        self._pending = b""

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > MAX_HEADER:
            raise refuse(self._archive, "a header", f"claims more than {MAX_HEADER >> 20} MiB")
        data = self._pending[:count]
        self._pending = self._pending[len(data) :]
        data += self._stream.read(count - len(data))
        self._at += len(data)
        self._last = data[-1:] or self._last
        if self._at > self._limit:
            raise refuse(self._archive, "its content", f"grows past the bound of {self._limit} bytes")
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset == self._at - 1 and not self._pending:
            self._pending, self._at = self._last, offset
        if whence != os.SEEK_SET or offset < self._at:
            what = "the archive is not readable front to back"
            raise tarfile.ReadError(what)
        while self._at < offset and self.read(min(CHUNK, offset - self._at)):
            pass
        return self._at


def _decompressor(raw: IO[bytes]) -> IO[bytes]:
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if magic.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lzma.LZMAFile(raw)
    return raw


def _tar_members(archive: Path, bounds: Bounds) -> Iterator[Entry]:
    # The stream also holds headers and padding, at most about 2 kB a member beyond its content.
    limit = bounds.max_bytes + 2048 * bounds.max_members
    with archive.open("rb") as raw, _decompressor(raw) as plain:
        stream = cast("IO[bytes]", _Bounded(plain, archive, limit))
        with tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as tar:
            while (info := tar.next()) is not None:
                yield _tar_member(archive, info), partial(_tar_content, tar, info), raw.tell()
        while stream.read(CHUNK):  # to the end, where the compressed stream keeps its checksum
            pass


def _tar_content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    return content if content is not None else io.BytesIO()


def _tar_member(archive: Path, info: tarfile.TarInfo) -> Member:
    name = checked_name(archive, info.name)
    if info.isdir():
        return Member(name=name, kind="dir")
    if info.issym() or info.islnk():
        return Member(name=name, kind="symlink" if info.issym() else "hardlink", target=info.linkname)
    if not info.isreg() or info.issparse():
        raise refuse(archive, info.name, "is neither a file, a folder nor a link")
    if info.mode & (stat.S_ISUID | stat.S_ISGID):
        raise refuse(archive, info.name, "has a set-user-id or set-group-id bit")
    return Member(name=name, kind="file", size=info.size, executable=bool(info.mode & stat.S_IXUSR))


def _zip_members(archive: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as bundle:
        position = 0
        for info in bundle.infolist():
            position += info.compress_size
            yield _zip_member(archive, bundle, info), partial(bundle.open, info), position


def _zip_member(archive: Path, bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = checked_name(archive, info.orig_filename)
    mode = info.external_attr >> 16 if info.create_system == ZIP_UNIX else 0
    kind = stat.S_IFMT(mode)
    if info.is_dir():
        return Member(name=name, kind="dir")
    if kind == stat.S_IFLNK:
        with bundle.open(info) as content:
            return Member(name=name, kind="symlink", target=content.read(MAX_LINK).decode("utf-8", "replace"))
    if kind not in {0, stat.S_IFREG}:
        raise refuse(archive, info.filename, "is neither a file, a folder nor a link")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise refuse(archive, info.filename, "has a set-user-id or set-group-id bit")
    return Member(name=name, kind="file", size=info.file_size, executable=bool(mode & stat.S_IXUSR))
