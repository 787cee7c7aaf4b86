"""Compressed offload bundles (``CCOB``), written again: the same header version, the same codec, other contents."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from buildtool.codeobj import bundle
from buildtool.codeobj.codec import Stream, zstd_module
from buildtool.codeobj.view import DamagedError, View, read

PIECE = 4 << 20
MAX_UNPACKED = 8 << 30
LONG_RANGE = 8 << 20  # bundles of several targets repeat themselves over long distances
WINDOW_LOG = 27  # the largest that decoders take without being asked
# zstd's level 3 is about clang's own; the others are tried where a slot leaves no room for one byte more.
LEVELS = {"zstd": (3, 9, 19), "zlib": (6, 9)}
FRESH_VERSION, FRESH_METHOD, FRESH_LEVEL = 2, 1, 12
TOO_LARGE = (1 << 32) - 1

Contents = Callable[[], Iterable[bytes]]


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def _compressor(codec: str, level: int, size: int) -> _Compressor:
    if codec == "zlib":
        return zlib.compressobj(level)
    zstd = zstd_module()
    options = {zstd.CompressionParameter.compression_level: level}
    if size > LONG_RANGE:
        options[zstd.CompressionParameter.enable_long_distance_matching] = 1
        options[zstd.CompressionParameter.window_log] = min(WINDOW_LOG, max(23, size.bit_length()))
    compressor: _Compressor = zstd.ZstdCompressor(options=options)
    compressor.set_pledged_input_size(size)  # type: ignore[attr-defined]
    return compressor


def pieces(view: View, start: int, end: int) -> Iterator[bytes]:
    """Yield what the compressed bundle at `start` holds, all of it.

    Raises:
        DamagedError: it does not unpack, or not to the size it states.
    """
    header = bundle.ccob_header(view, start, end)
    if header.unpacked > MAX_UNPACKED:
        what = f"The compressed bundle at {start:#x} claims to unpack to {header.unpacked} bytes."
        raise DamagedError(what)
    stream, left = Stream(view, header.payload, header.stop - header.payload, header.codec), header.unpacked
    while left:
        piece = stream.read(min(PIECE, left))
        if not piece:
            what = f"The compressed bundle at {start:#x} holds {left} bytes less than it says."
            raise DamagedError(what)
        left -= len(piece)
        yield piece


def patched(contents: Iterable[bytes], changes: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield `contents` with fresh bytes written over it: (offset, bytes), in order and not overlapping."""
    waiting, position = sorted(changes), 0
    for piece in contents:
        fresh, end = bytearray(piece), position + len(piece)
        for offset, data in waiting:
            low, high = max(offset, position), min(offset + len(data), end)
            if low < high:
                fresh[low - position : high - position] = data[low - offset : high - offset]
        waiting = [(offset, data) for offset, data in waiting if offset + len(data) > end]
        position = end
        yield bytes(fresh)


def pack(view: View, start: int, contents: Contents, size: int, room: int | None) -> bytes:
    """Compress new contents with the header version and codec of the bundle at `start`.

    Args:
        view: what holds the old bundle.
        start: where it starts.
        contents: gives the new contents, as often as it is called.
        size: of the new contents, bytes.
        room: bytes the result may take; None for any number.

    Returns:
        The new compressed bundle.

    Raises:
        DamagedError: the contents do not compress into `room`.
    """
    magic, version, method = struct.unpack("<4sHH", read(view, start, bundle.CCOB_COMMON.size))
    codec = bundle.METHODS[method]
    best: bytes | None = None
    for level in LEVELS[codec]:
        best = _compressed(contents(), codec, level, size, struct.pack("<4sHH", magic, version, method), version)
        if room is None or len(best) <= room:
            return best
    what = f"The compressed bundle at {start:#x} grows to {len(best or b'')} bytes and has room for {room}."
    raise DamagedError(what, why="Its section leaves no space behind it.")


def fresh(contents: Contents, size: int) -> bytes:
    """Compress the contents of a plain bundle, in the form that HIP reads since it reads any (version 2, zstd).

    Args:
        contents: gives the bundle's bytes.
        size: of the bundle, at most 4 GiB less one byte.

    Raises:
        DamagedError: it is too large for that form.
    """
    head = struct.pack("<4sHH", bundle.CCOB_MAGIC, FRESH_VERSION, FRESH_METHOD)
    return _compressed(contents(), bundle.METHODS[FRESH_METHOD], FRESH_LEVEL, size, head, FRESH_VERSION)


def _compressed(contents: Iterable[bytes], codec: str, level: int, size: int, head: bytes, version: int) -> bytes:
    compressor, whole, packed = _compressor(codec, level, size), hashlib.md5(usedforsecurity=False), []
    for piece in contents:
        whole.update(piece)
        packed.append(compressor.compress(piece))
    packed.append(compressor.flush())
    sizes = bundle.CCOB_SIZES[version]
    total = len(head) + sizes.size + sum(map(len, packed))
    checksum = struct.unpack("<Q", whole.digest()[:8])[0]
    fields = (size, checksum) if version == 1 else (total, size, checksum)
    if version < 3 and max(fields[:-1]) > TOO_LARGE:  # noqa: PLR2004 - version 3 has 64-bit sizes
        what = f"A compressed bundle of version {version} cannot hold {size} bytes."
        raise DamagedError(what)
    return b"".join([head, sizes.pack(*fields), *packed])
