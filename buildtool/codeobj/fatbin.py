"""NVIDIA fat binaries: the containers in ``.nv_fatbin``, and what each of their entries is for.

The format has no public specification. The layout here was established with ``nvcc`` 13.0 (every
``-gencode`` and ``--compress-mode``) against ``cuobjdump``'s listing, and is held to that listing
over third-party binaries by the tests: a 16-byte header (magic, version, header size, size of what
follows), then entries of ``header | payload``, the payload padded to 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from buildtool.codeobj.model import Image
from buildtool.codeobj.view import DamagedError, View, find, read

MAGIC = 0xBA55ED50
MAGIC_BYTES = struct.pack("<I", MAGIC)
HEADER = struct.Struct("<IHHQ")
# kind, version, header bytes, padded payload bytes, payload bytes, -, ISA minor, ISA major, sm, -, -,
# flags, -, unpacked bytes
ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
MAX_ENTRIES = 1 << 20
VERSION = 1

KINDS = {1: "ptx", 2: "cubin", 8: "lto-ir"}
PLAUSIBLE = frozenset(KINDS.values())
PREFIX = {"ptx": "compute_", "lto-ir": "lto_"}
FLAG_LZ4 = 0x2000
FLAG_ZSTD = 0x8000
FLAG_ACCELERATED = 1 << 20  # the "a" of sm_90a
FLAG_FAMILY = 1 << 21  # the "f" of sm_100f
SMALLEST_ENTRY = 64


def images(view: View, start: int, end: int) -> Iterator[Image]:
    """Walk every container between `start` and `end`.

    Containers follow each other with zero padding; larger gaps are searched for the next magic.

    Raises:
        DamagedError: a container or entry that does not fit, or more entries than any real file has.
    """
    budget = MAX_ENTRIES
    position = find(view, MAGIC_BYTES, start, end)
    while 0 <= position < end:
        stop = position
        for image in container(view, position, end):
            stop = image.container_offset + (image.container_bytes or 0)
            budget -= 1
            if budget < 0:
                what = f"The file claims more than {MAX_ENTRIES} fat binary entries."
                raise DamagedError(what)
            yield image
        stop = max(stop, position + HEADER.size)
        position = stop if view.peek(stop, 4) == MAGIC_BYTES else find(view, MAGIC_BYTES, stop, end)


def container(view: View, start: int, end: int) -> Iterator[Image]:
    """Walk the one container that starts at `start` and ends before `end`.

    Raises:
        DamagedError: it, or an entry of it, does not fit.
    """
    _, version, header_size, body = HEADER.unpack(read(view, start, HEADER.size))
    stop = start + header_size + body
    if version != VERSION or header_size < HEADER.size or stop > end:
        what = f"The fat binary at {start:#x} claims {header_size + body} of {end - start} bytes."
        raise DamagedError(what)
    return _entries(view, start, start + header_size, stop)


def _entries(view: View, container: int, position: int, stop: int) -> Iterator[Image]:
    while position + SMALLEST_ENTRY <= stop:
        entry = ENTRY.unpack(read(view, position, ENTRY.size))
        header_size, padded = entry[2], entry[3]
        if header_size < SMALLEST_ENTRY or position + header_size + padded > stop:
            what = f"A fat binary entry at {position:#x} does not fit into its container."
            raise DamagedError(what)
        yield _image(entry, container, stop - container, position)
        position += header_size + padded


def _image(entry: tuple[int, ...], container: int, container_bytes: int, position: int) -> Image:
    number, _, header_size, padded, payload, _, isa_minor, isa_major, sm, _, _, flags, _, unpacked = entry
    kind = KINDS.get(number, f"other-{number}")
    compression = "zstd" if flags & FLAG_ZSTD else "lz4" if flags & FLAG_LZ4 else ""
    suffix = "a" if flags & FLAG_ACCELERATED else "f" if flags & FLAG_FAMILY else ""
    return Image(
        kind=kind,
        target=f"{PREFIX.get(kind, 'sm_')}{sm}{suffix}",
        bytes=payload if compression and 0 < payload <= padded else padded,
        offset=position + header_size,
        container="fatbin",
        container_offset=container,
        container_bytes=container_bytes,
        entry_offset=position,
        compression=compression,
        unpacked_bytes=unpacked if compression else None,
        isa=f"{isa_major}.{isa_minor}" if kind == "ptx" else None,
    )
