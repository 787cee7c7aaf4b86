"""TheRock's ``.kpack`` archives: device code that was split from host libraries.

Format: docstring of rocm-kpack's ``packed_kernel_archive.py`` (format version 1): a 16-byte header (``KPAK``, version,
offset of the table of contents), blobs, and a msgpack table ``toc: {library: {target: {type, ordinal, …}}}``. With the
scheme ``none`` a list names the place of every blob; with ``zstd-per-kernel`` they follow each other: their number,
then the size and the zstd frame of each (``compression.py`` there).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated

import msgspec

from buildtool.codeobj.bundle import canonical
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import DamagedError, View, read, unpack

MAGIC = b"KPAK"
HEADER = struct.Struct("<4sIQ")
VERSION = 1
MAX_TOC = 256 << 20
MAX_FRAMES = 1 << 20
SCHEMES = ("none", "zstd-per-kernel")
WORD = struct.Struct("<I")
Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Blob(msgspec.Struct):
    offset: Natural
    size: Natural


class _Entry(msgspec.Struct):
    type: str = "hsaco"
    ordinal: int | None = None
    original_size: Natural | None = None
    offset: Natural | None = None
    size: Natural | None = None


class _Toc(msgspec.Struct):
    toc: dict[str, dict[str, _Entry]]
    compression_scheme: str = "none"
    blobs: list[_Blob] = []
    zstd_offset: Natural = 0
    zstd_size: Natural = 0


def images(view: View) -> Iterator[Image]:
    """Walk the table of contents.

    Raises:
        DamagedError: an unknown version, or a table that does not lie in the file or cannot be decoded.
    """
    _, version, start = unpack(view, 0, HEADER)
    size = view.size - start
    if version != VERSION or not 0 < size <= MAX_TOC:
        what = f"The kernel archive has the unknown version {version}, or a misplaced table of contents."
        raise DamagedError(what)
    try:
        table = msgspec.msgpack.decode(read(view, start, size), type=_Toc)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        what = "The kernel archive's table of contents is damaged."
        raise DamagedError(what, why=str(error)) from error
    if table.compression_scheme not in SCHEMES:
        what = f"The kernel archive is compressed in the unknown way {table.compression_scheme!r}."
        raise DamagedError(what)
    packed = table.compression_scheme != "none"
    blobs = _frames(view, table) if packed else table.blobs
    for library, targets in table.toc.items():
        for target, entry in targets.items():
            yield _image(view, blobs, library, target, entry, packed=packed)


def _frames(view: View, table: _Toc) -> list[_Blob]:
    """Return where the zstd frames lie."""
    position, end = table.zstd_offset, table.zstd_offset + table.zstd_size
    (count,) = unpack(view, position, WORD)
    position += WORD.size
    if count > MAX_FRAMES or end > view.size:
        what = f"The kernel archive claims {count} kernels that end at {end:#x}."
        raise DamagedError(what)
    found = []
    for _ in range(count):
        (size,) = unpack(view, position, WORD)
        found.append(_Blob(position + WORD.size, size))
        position += WORD.size + size
    if position > end:
        what = f"The kernels of the kernel archive end at {position:#x}, not at {end:#x}."
        raise DamagedError(what)
    return found


def _image(view: View, blobs: list[_Blob], library: str, target: str, entry: _Entry, *, packed: bool) -> Image:
    offset, size = entry.offset, entry.size
    if entry.ordinal is not None and 0 <= entry.ordinal < len(blobs):
        offset, size = blobs[entry.ordinal].offset, blobs[entry.ordinal].size
    if offset is None or size is None or offset + size > view.size:
        what = f"The kernel archive's entry for {library} and {target} does not lie in the file."
        raise DamagedError(what)
    return Image(
        kind=entry.type,
        target=canonical(target),
        bytes=size,
        offset=offset,
        container="kpack",
        container_bytes=view.size,
        compression="zstd" if packed else "",
        unpacked_bytes=entry.original_size if packed else None,
        bundle_id=library,
    )
