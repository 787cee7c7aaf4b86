"""Bounded decompression: the start of a stream, or a whole one up to a stated size."""

from __future__ import annotations

import importlib
import io
import sys
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from buildtool.codeobj.view import DamagedError, View

if TYPE_CHECKING:
    from types import ModuleType

CHUNK = 1 << 18
PIECE = 4 << 20
MAX_WINDOW_LOG = 31
FREE_UNPACKED = 256 << 20  # bytes that anything may unpack to
MAX_RATIO = 200  # beyond them: real device code and its archives stay far below
FIRST_FRAME = 1 << 20
MAX_FRAME = 256 << 20  # of a bundle that does not say how long it is


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """`zlib` with the calling convention of the other codecs."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj()
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.eof, self.unused_data = self._inner.eof, self._inner.unused_data
        return out


def zstd_module() -> ModuleType:
    """Return Python's zstd module: the standard library's from 3.14 on, its backport before."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def refuse_bomb(name: str, packed: int, unpacked: int) -> None:
    """Refuse what unpacks to far more than its size.

    Raises:
        DamagedError: it does.
    """
    if unpacked > max(FREE_UNPACKED, packed * MAX_RATIO):
        what = f"{name} unpacks from {packed} to {unpacked} bytes or more."
        raise DamagedError(what, why="That is a size bomb, or damaged.")


def _decompressor(codec: str) -> _Decompressor:
    if codec == "zlib":
        return _Zlib()
    zstd = zstd_module()
    options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    decompressor: _Decompressor = zstd.ZstdDecompressor(options=options)
    return decompressor


def unpack_prefix(view: View, offset: int, length: int, codec: str, limit: int) -> bytes:
    """Return at most `limit` bytes of what a ``zlib`` or ``zstd`` stream of `length` bytes holds.

    Raises:
        DamagedError: it is no such stream, or it ends early and holds less than `limit`.
    """
    pieces = _Pieces(view, offset, length, codec)
    out = b"".join(pieces.take(limit))
    if len(out) < limit and not pieces.finished:
        what = f"The {codec} data at {offset:#x} ends early."
        raise DamagedError(what)
    return out


def stream_length(view: View, offset: int, length: int, codec: str) -> int:
    """Return how many of `length` bytes belong to the stream at `offset`.

    Raises:
        DamagedError: it is no such stream, or ends early.
    """
    if codec == "zstd":
        return _frame_length(view, offset, length)
    pieces = _Pieces(view, offset, length, codec)
    for _ in pieces.take(sys.maxsize):
        pass
    if not pieces.finished:
        what = f"The {codec} data at {offset:#x} ends early."
        raise DamagedError(what)
    return pieces.consumed


def _frame_length(view: View, offset: int, length: int) -> int:
    """Return the length of a zstd frame, which its blocks tell without being unpacked."""
    length = min(length, MAX_FRAME)
    zstd, window = zstd_module(), min(FIRST_FRAME, length)
    while True:
        try:
            return int(zstd.get_frame_size(view.peek(offset, window)))
        except zstd.ZstdError as error:
            if window >= length:
                what = f"The zstd data at {offset:#x} ends early, or is damaged."
                raise DamagedError(what, why=str(error)) from error
        window = min(window * 8, length)


class Stream(io.RawIOBase):
    """What a ``zlib`` or ``zstd`` stream holds, as a file that can only be read on."""

    def __init__(self, view: View, offset: int, length: int, codec: str) -> None:
        self._pieces = _Pieces(view, offset, length, codec).take(sys.maxsize)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes; fewer only at the end."""
        parts, missing = [self._rest[:size]], size - len(self._rest)
        self._rest = self._rest[size:]
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece[:missing])
            self._rest = piece[missing:]
            missing -= len(piece)
        return b"".join(parts)


class _Pieces:
    """A stream unpacked piece by piece."""

    def __init__(self, view: View, offset: int, length: int, codec: str) -> None:
        self._view, self._offset, self._end, self._codec = view, offset, offset + length, codec
        self.finished = False
        self.consumed = 0

    def take(self, limit: int) -> Iterator[bytes]:
        """Yield pieces until the stream ends, `limit` bytes came out, or nothing more comes."""
        decompressor = _decompressor(self._codec)
        position, unpacked = self._offset, 0
        while limit > 0 and not decompressor.eof:
            chunk = self._view.peek(position, min(CHUNK, self._end - position))
            position += len(chunk)
            try:
                piece = decompressor.decompress(chunk, min(limit, PIECE))
            except Exception as error:  # zlib.error, ZstdError, MemoryError of a lying window
                what = f"The {self._codec} data at {self._offset:#x} cannot be unpacked."
                raise DamagedError(what, why=str(error)) from error
            if not chunk and not piece:
                break
            limit -= len(piece)
            unpacked += len(piece)
            refuse_bomb(f"The {self._codec} data at {self._offset:#x}", position - self._offset, unpacked)
            yield piece
        self.finished = decompressor.eof
        self.consumed = position - self._offset - len(decompressor.unused_data)
