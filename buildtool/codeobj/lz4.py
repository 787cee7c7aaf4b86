"""Decoder of LZ4 blocks, the older compression of fat binaries (bare blocks without the frame of ``.lz4`` files).

Format: "LZ4 Block Format Description" of the LZ4 project. It is here because the standard library has none and only
``--kernels`` needs it.
"""

from __future__ import annotations

from buildtool.codeobj.view import DamagedError

MIN_MATCH = 4
LONG = 15


def decode(data: bytes, size: int) -> bytes:
    """Unpack one block.

    Args:
        data: the block; zero padding behind it is ignored.
        size: bytes it unpacks to.

    Raises:
        DamagedError: it does not unpack to exactly `size` bytes.
    """
    out = bytearray()
    position = 0
    try:
        while len(out) < size:
            token = data[position]
            length, position = _length(data, position + 1, token >> 4)
            out += data[position : position + length]
            position += length
            if len(out) >= size:
                break
            distance = data[position] | data[position + 1] << 8
            length, position = _length(data, position + 2, token & LONG)
            _copy(out, distance, min(length + MIN_MATCH, size - len(out) + 1))
    except IndexError as error:
        what = "LZ4 data ends early."
        raise DamagedError(what) from error
    if len(out) != size:
        what = f"LZ4 data unpacks to {len(out)} instead of {size} bytes."
        raise DamagedError(what)
    return bytes(out)


def _length(data: bytes, position: int, length: int) -> tuple[int, int]:
    """Return a length and the position after its extra bytes."""
    if length == LONG:
        more = 255
        while more == 255:  # noqa: PLR2004 - a full byte says that another one follows
            more = data[position]
            position += 1
            length += more
    return length, position


def _copy(out: bytearray, distance: int, length: int) -> None:
    if not 0 < distance <= len(out):
        what = "LZ4 data refers to bytes before its start."
        raise DamagedError(what)
    start = len(out) - distance
    if distance >= length:
        out += out[start : start + length]
        return
    pattern = bytes(out[start:])
    out += (pattern * (length // distance + 1))[:length]
