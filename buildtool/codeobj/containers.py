"""Files inside files: wheels and other zips, tar archives, Debian packages, static libraries.

Members are read where they lie: stored ones as a range of the mapped archive, packed ones through a
decompressor; only a packed tar member that fits no memory bound is spooled to an anonymous temporary file.
"""

from __future__ import annotations

import io
import itertools
import mmap
import re
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self, cast

from buildtool.codeobj.codec import refuse_bomb, zstd_module
from buildtool.codeobj.view import BytesView, DamagedError, MappedView, StreamView, SubView, View, read
from buildtool.errors import StorageError
from buildtool.store.storage import storage_errors

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60
MAX_MEMBERS = 1 << 20
MAX_NAME = 4096  # longer ones are cut: many members may be called by the tails of one huge string
IN_MEMORY = 32 << 20
TEMPORARY = "Name another place for temporary files with TMPDIR."
MAX_TAR_HEADER = 1 << 20  # of names and attributes that do not fit into a member's own header
MAX_TAR_HEADERS = 16  # of them before one member
MAX_TAR_ATTRIBUTES = 1024  # that are for all members behind them
ZIP_LOCAL = struct.Struct("<4s22xHH")  # magic, length of the name, length of the extra field
ENCRYPTED = 1
TAR_NAME = re.compile(r"\.(tar\.[a-z0-9]+|t[gbx]z2?|tzst)$")
COMPRESSED_TAR = {b"\x1f\x8b": "gz", b"\xfd7zXZ": "xz", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zst"}

Members = Iterator[tuple[str, View]]


class ViewFile(io.RawIOBase):
    """A view as a read-only, seekable file, for the standard library's archive modules."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be sought."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as a file does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._view.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`, as a file does."""
        data = self._view.peek(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def members(head: bytes, view: View, name: str) -> Members | None:
    """Return the members of an archive, or None if the file is none.

    Args:
        head: its first 512 bytes.
        view: its bytes.
        name: its name; a compressed file counts as a tar archive only if it is called so.

    Raises:
        DamagedError: while iterating, where the archive contradicts itself or is a size bomb.
    """
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _zip(view)
    if head.startswith(AR_MAGIC):
        return _ar(view)
    if head[257:262] == b"ustar":
        return _tar(view, "")
    for magic, codec in COMPRESSED_TAR.items():
        if head.startswith(magic) and TAR_NAME.search(name.lower()):
            return _tar(view, codec)
    return None


def _zip(view: View) -> Members:
    try:
        archive = zipfile.ZipFile(ViewFile(view))
        entries = archive.infolist()
    except Exception as error:  # zipfile lets struct's, codecs' and its own exceptions through
        what = "The zip archive (or wheel) is damaged."
        raise DamagedError(what, why=str(error)) from error
    if len(entries) > MAX_MEMBERS:
        what = f"The archive claims {len(entries)} members."
        raise DamagedError(what)
    for entry in entries:
        if entry.filename and not entry.is_dir() and entry.file_size:
            yield entry.filename, _zip_member(view, archive, entry)


def _zip_member(view: View, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> View:
    """Return a stored member where it lies, a packed one through its decompressor."""
    header = view.peek(entry.header_offset, ZIP_LOCAL.size)
    if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & ENCRYPTED and len(header) == ZIP_LOCAL.size:
        magic, name, extra = ZIP_LOCAL.unpack(header)
        start = entry.header_offset + ZIP_LOCAL.size + name + extra
        if magic == b"PK\3\4" and start + entry.file_size <= view.size:
            return SubView(view, start, entry.file_size)
    refuse_bomb(entry.filename, entry.compress_size, entry.file_size)
    return StreamView(_opener(archive, entry), entry.file_size)


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(entry)


def _ar(view: View) -> Members:
    names, position, count = b"", len(AR_MAGIC), 0
    while position + AR_HEADER <= view.size:
        header = read(view, position, AR_HEADER)
        digits = header[48:58].strip()
        count += 1
        if header[58:] != b"`\n" or not digits.isdigit() or count > MAX_MEMBERS:
            what = f"The archive is damaged at {position:#x}."
            raise DamagedError(what)
        size, name, start = int(digits), header[:16].rstrip(), position + AR_HEADER
        position = start + size + size % 2
        if name == b"//":
            names = read(view, start, size)
        elif name.startswith(b"#1/") and name[3:].isdigit():
            length = min(int(name[3:]), size)
            name = read(view, start, min(length, MAX_NAME)).rstrip(b"\0")
            start, size = start + length, size - length
        elif name.startswith(b"/") and name[1:].isdigit():
            at = int(name[1:])
            name = names[at : at + MAX_NAME].split(b"\n", 1)[0]
        if name not in (b"/", b"//", b"/SYM64/", b"__.SYMDEF") and size:
            yield name.rstrip(b"/").decode("utf-8", "replace"), SubView(view, start, size)


def _tar(view: View, codec: str) -> Members:
    try:
        stream = cast("IO[bytes]", _Bounded(_tar_stream(view, codec), view.size))
        # A name that is no UTF-8 could not be printed as it is.
        with stream, _TarFile.open(fileobj=stream, mode="r|", errors="replace") as archive:
            for entry in itertools.islice(archive, MAX_MEMBERS):
                _check_attributes(archive)
                if entry.isreg() and entry.size:
                    name = entry.name.removeprefix("./")[:MAX_NAME]
                    yield name, _tar_member(view, archive, entry, packed=bool(codec))
                archive.members.clear()  # nobody asks for them again
    except (DamagedError, StorageError):
        raise
    except Exception as error:  # tarfile's own, and those of every codec below it
        what = "The tar archive is damaged."
        raise DamagedError(what, why=str(error)) from error


def _check_attributes(archive: tarfile.TarFile) -> None:
    if len(archive.pax_headers) > MAX_TAR_ATTRIBUTES:  # each member gets a copy
        what = f"The tar archive has {len(archive.pax_headers)} attributes for all of its members."
        raise DamagedError(what)


class _TarInfo(tarfile.TarInfo):
    """A member's header; one that says it is followed by gigabytes of names is refused before they are read."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read a member's header, and those before it that hold its name and attributes, each inside the last."""
        archive = cast("_TarFile", tarfile)
        if archive.headers > MAX_TAR_HEADERS:
            what = f"The tar archive has more than {MAX_TAR_HEADERS} headers of names and attributes before one member."
            raise DamagedError(what)
        archive.headers += 1
        try:
            return super().fromtarfile(tarfile)
        finally:
            archive.headers -= 1

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        kinds = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
        if found.type in (*kinds, tarfile.SOLARIS_XHDTYPE) and found.size > MAX_TAR_HEADER:
            what = f"The tar archive has a name or attribute of {found.size} bytes."
            raise DamagedError(what)
        return found


class _TarFile(tarfile.TarFile):
    """A tar archive that counts the headers before one member."""

    tarinfo = _TarInfo
    members: list[tarfile.TarInfo]
    headers = 0


class _Bounded(io.RawIOBase):
    """A decompressing stream that ends with an error where it becomes far larger than the file it comes from."""

    def __init__(self, stream: IO[bytes], packed: int) -> None:
        self._stream, self._packed, self._unpacked = stream, packed, 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._unpacked += len(data)
        refuse_bomb("The tar archive", self._packed, self._unpacked)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def _tar_stream(view: View, codec: str) -> IO[bytes]:
    raw = io.BufferedReader(ViewFile(view), 1 << 20)
    if codec == "gz":
        import gzip

        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if codec == "xz":
        import lzma

        return lzma.LZMAFile(raw)
    if codec == "bz2":
        import bz2

        return bz2.BZ2File(raw)
    if codec == "zst":
        return cast("IO[bytes]", zstd_module().ZstdFile(raw))
    return raw


def _tar_member(view: View, archive: tarfile.TarFile, entry: tarfile.TarInfo, *, packed: bool) -> View:
    if not packed and entry.sparse is None:
        return SubView(view, entry.offset_data, entry.size)
    refuse_bomb(entry.name, view.size, entry.size)
    source = archive.extractfile(entry)
    if source is None:
        return BytesView(b"")
    if entry.size <= IN_MEMORY:
        return BytesView(source.read(entry.size))
    room = Path(tempfile.gettempdir())
    with storage_errors(room, f"{entry.name}, unpacked", hint=TEMPORARY), tempfile.TemporaryFile(dir=room) as spool:
        while chunk := source.read(1 << 20):
            spool.write(chunk)
        spool.flush()
        return MappedView(mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ))
