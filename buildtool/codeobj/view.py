"""Bounded random access to bytes that may lie in a mapped file, in memory, or behind a decompressor.

Every read of this room goes through a `View`: it cannot leave its range, a short read is a
`DamagedError` with the place it happened, and a compressed member is read forwards with a small
window instead of being unpacked to disk.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from buildtool.errors import InvalidInputError, StorageError

WINDOW = 1 << 20
WHOLE = 32 << 20  # streams up to this size are kept once they are read beyond their start
RELEASE_EVERY = 1024  # reads of a mapped file between two releases of its pages
SCAN_CHUNK = 8 << 20
FIRST_CHUNK = 4096
MAX_SHARED = 4  # how often, on average, the sections of a file may use each byte of it; a real file's use it once


class DamagedError(InvalidInputError):
    """Bytes that cannot be what they claim to be: cut off, overlapping, or past a bound."""

    kind = "damaged-binary"


class View(Protocol):
    """A range of bytes, addressed from 0 to `size`."""

    size: int

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`; fewer at the end, none outside."""
        ...


class BytesView:
    """A view of bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        return self._data[offset : offset + length] if 0 <= offset < self.size and length > 0 else b""


class MappedView:
    """A view of a memory-mapped file.

    The kernel counts pages around each touched one as ours; they are given back every
    `RELEASE_EVERY` reads, so that a 1 GB library costs a few megabytes of resident memory.
    """

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self.size = len(mapped)
        self._reads = 0

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        if not 0 <= offset < self.size or length <= 0:
            return b""
        self._reads += 1 + length // mmap.PAGESIZE // 16
        if self._reads >= RELEASE_EVERY and hasattr(mmap, "MADV_DONTNEED"):
            self._reads = 0
            self._mapped.madvise(mmap.MADV_DONTNEED)
        return self._mapped[offset : offset + length]


class SubView:
    """A range of another view."""

    def __init__(self, parent: View, offset: int, size: int) -> None:
        if offset < 0 or size < 0 or offset + size > parent.size:
            what = f"A range of {size} bytes at {offset:#x} does not lie inside its file of {parent.size} bytes."
            raise DamagedError(what)
        self._parent = parent
        self._offset = offset
        self.size = size

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        if not 0 <= offset < self.size:
            return b""
        return self._parent.peek(self._offset + offset, min(length, self.size - offset))


class Readable(Protocol):
    """The part of a file that `StreamView` uses."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class StreamView:
    """A view of a decompressing stream: cheap forwards, a restart backwards."""

    def __init__(self, opener: Callable[[], Readable], size: int) -> None:
        self._opener = opener
        self._stream: Readable | None = None
        self._position = 0
        self._window = b""
        self._window_start = 0
        self.size = size

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        start = offset - self._window_start
        if start >= 0 and start + length <= len(self._window):
            return self._window[start : start + length]
        if self.size <= WHOLE and self._position:
            offset, wanted = 0, offset
            self._window, self._window_start = b"", 0
            self._seek(0)
            self._window = self._take(self.size)
            self.size = len(self._window)
            return self._window[wanted : wanted + length]
        self._seek(offset)
        kept = self._window[start:] if 0 <= start < len(self._window) else b""
        fresh = self._take(max(WINDOW, length) - len(kept))
        self._window, self._window_start = kept + fresh, offset
        return self._window[:length]

    def _seek(self, offset: int) -> None:
        window_end = self._window_start + len(self._window)
        if self._window_start <= offset <= window_end == self._position:
            return
        if offset < self._position:
            if self._stream is not None:
                self._stream.close()
            self._stream, self._position = None, 0
        while self._position < offset:
            skipped = len(self._take(min(SCAN_CHUNK, offset - self._position)))
            if not skipped:
                break

    def _take(self, length: int) -> bytes:
        try:
            if self._stream is None:
                self._stream = self._opener()
            data = self._stream.read(length)
        except Exception as error:  # every codec has its own exceptions; all mean the same here
            what = "A compressed member cannot be unpacked."
            raise DamagedError(what, why=str(error)) from error
        self._position += len(data)
        return data


def read(view: View, offset: int, length: int) -> bytes:
    """Return exactly `length` bytes at `offset`.

    Raises:
        DamagedError: the view ends before.
    """
    data = view.peek(offset, length)
    if len(data) != length:
        what = f"The data ends where {length} more bytes should follow (at {offset:#x} of {view.size:#x})."
        raise DamagedError(what, why="The file is cut off, or one of its sizes is wrong.")
    return data


def unpack(view: View, offset: int, layout: struct.Struct) -> tuple[Any, ...]:
    """Read one record of `layout` at `offset`."""
    return layout.unpack(read(view, offset, layout.size))


def peek_text(view: View, offset: int, limit: int = 4096) -> str:
    """Return the zero-terminated string at `offset`, cut at `limit` bytes."""
    return view.peek(offset, limit).split(b"\0", 1)[0].decode("utf-8", "replace")


def refuse_shared(view: View, places: Iterable[tuple[int, int]]) -> None:
    """Refuse a table whose ranges, given as (offset, size), lie over each other again and again.

    Raises:
        DamagedError: reading each of them would be reading the file many times.
    """
    taken = sum(min(size, view.size - offset) for offset, size in places if offset < view.size)
    if taken > MAX_SHARED * view.size:
        what = f"The sections of the file take {taken} bytes together, and it has {view.size}."
        raise DamagedError(what, why="They share their bytes, as no compiler's do.")


def find(view: View, needle: bytes, start: int, end: int) -> int:
    """Return the first offset in ``[start, end)`` where `needle` begins, or -1; reads in chunks."""
    end = min(end, view.size)
    length = FIRST_CHUNK  # most gaps are a few bytes of padding
    while start < end:
        chunk = view.peek(start, min(length, end - start) + len(needle) - 1)
        length = min(length * 16, SCAN_CHUNK)
        at = chunk.find(needle)
        if at >= 0:
            return start + at if start + at < end else -1
        if len(chunk) < len(needle):
            return -1
        start += len(chunk) - len(needle) + 1
    return -1


def find_all(view: View, needles: tuple[bytes, ...], limit: int) -> list[tuple[int, bytes]]:
    """Return where any of the needles begins, in order and at most `limit` times each; reads the view once."""
    overlap = max(len(needle) for needle in needles) - 1
    hits: list[tuple[int, bytes]] = []
    room = dict.fromkeys(needles, limit)
    for start in range(0, view.size, SCAN_CHUNK):
        chunk = view.peek(start, SCAN_CHUNK + overlap)
        for needle in needles:
            at = chunk.find(needle)
            while 0 <= at < SCAN_CHUNK and room[needle]:
                hits.append((start + at, needle))
                room[needle] -= 1
                at = chunk.find(needle, at + 1)
    return sorted(hits)


@contextlib.contextmanager
def open_view(path: Path) -> Iterator[View]:
    """Map a file read-only; an empty one, which cannot be mapped, is a view of no bytes.

    Raises:
        StorageError: it cannot be read, or not be mapped.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            if not size:
                yield BytesView(b"")
                return
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield MappedView(mapped)
    except OSError as error:
        what = f"{path} cannot be read."
        raise StorageError(what, why=error.strerror or str(error)) from error
