"""TheRock's ``.kpack`` archives: device code that was split from host libraries.

Format: docstring of rocm-kpack's ``packed_kernel_archive.py`` (format version 1): a 16-byte header (``KPAK``, version,
offset of the table of contents), blobs, and a msgpack table ``toc: {library: {target: {type, ordinal, …}}}``. Where a
blob lies is known for the scheme ``none``; for ``zstd-per-kernel`` only the extent of all of them is.
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
    for library, targets in table.toc.items():
        for target, entry in targets.items():
            yield _image(view, table, library, target, entry)


def _image(view: View, table: _Toc, library: str, target: str, entry: _Entry) -> Image:
    packed = table.compression_scheme != "none"
    offset, size = entry.offset, entry.size
    if not packed and entry.ordinal is not None and 0 <= entry.ordinal < len(table.blobs):
        offset, size = table.blobs[entry.ordinal].offset, table.blobs[entry.ordinal].size
    if packed:
        offset, size = table.zstd_offset, entry.original_size or 0
    if offset is None or size is None or (not packed and offset + size > view.size):
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
