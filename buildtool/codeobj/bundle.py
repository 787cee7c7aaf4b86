"""Clang offload bundles, plain (``__CLANG_OFFLOAD_BUNDLE__``) and compressed (``CCOB`` versions 1 to 3).

Formats: LLVM's "Clang Offload Bundler" page and the header structs of its ``OffloadBundle.cpp``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj import amdgpu, elf
from buildtool.codeobj.codec import Stream, refuse_bomb, stream_length, unpack_prefix
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import (
    FIRST_CHUNK,
    SCAN_CHUNK,
    BytesView,
    DamagedError,
    StreamView,
    View,
    find,
    read,
    unpack,
)

MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
CCOB_MAGIC = b"CCOB"
MAX_ENTRIES = 4096
MAX_ID = 4096
MAX_BUNDLES = 1 << 20
MAX_IMAGES = 1 << 20  # a compressed directory of thousands takes a hundred bytes
MAX_DIRECTORY = 1 << 20
COUNT = struct.Struct("<Q")
ENTRY = struct.Struct("<QQQ")
CCOB_COMMON = struct.Struct("<4sHH")
CCOB_SIZES = {1: struct.Struct("<IQ"), 2: struct.Struct("<IIQ"), 3: struct.Struct("<QQQ")}
PAGE = 4096
HOST_ID = b"host-x86_64-unknown-linux-gnu-"  # an empty entry that clang's bundler puts first
DEVICE_ID = "hipv4-amdgcn-amd-amdhsa--{target}"
METHODS = {0: "zlib", 1: "zstd"}


def images(view: View, start: int, end: int) -> Iterator[Image]:
    """Walk every bundle between `start` and `end`; bundles are aligned with zero padding between them.

    Raises:
        DamagedError: a bundle that does not fit or lies about its sizes, or more entries than any real file has.
    """
    position, room = _next(view, start, end), MAX_IMAGES
    for _ in range(MAX_BUNDLES):
        if not 0 <= position < end:
            return
        stop, found = one(view, position, end)
        room -= len(found)
        if room < 0:
            what = f"The file claims more than {MAX_IMAGES} entries of offload bundles."
            raise DamagedError(what)
        yield from found
        position = _next(view, stop, end)


def one(view: View, start: int, end: int) -> tuple[int, list[Image]]:
    """Return the end and the images of the bundle that starts at `start`.

    Raises:
        DamagedError: it does not fit, or lies about its sizes.
    """
    if view.peek(start, len(CCOB_MAGIC)) == CCOB_MAGIC:
        return _compressed(view, start, end)
    return _plain(view, start, end)


def _next(view: View, start: int, end: int) -> int:
    """Return where the next bundle starts: after zero padding, else at the next magic; -1 without one."""
    head = view.peek(start, min(1 << 14, end - start))
    skipped = len(head) - len(head.lstrip(b"\0"))
    at = head[skipped:]
    if at.startswith((MAGIC, CCOB_MAGIC)):
        return start + skipped
    step = FIRST_CHUNK
    while start < end:  # a look for the one must not pass over thousands of the other again and again
        stop = min(start + step, end)
        plain = find(view, MAGIC, start, stop)
        packed = find(view, CCOB_MAGIC, start, stop if plain < 0 else plain)
        if packed >= 0 or plain >= 0:
            return packed if packed >= 0 else plain
        start, step = stop, min(step * 16, SCAN_CHUNK)
    return -1


def directory(view: View, start: int) -> list[tuple[int, int, str, int]]:
    """Return (offset, size, id, offset of the record) of every entry, offsets relative to the bundle.

    Raises:
        DamagedError: it claims more than there is, or than any real bundle has.
    """
    (count,) = unpack(view, start + len(MAGIC), COUNT)
    if count > MAX_ENTRIES:
        what = f"The offload bundle at {start:#x} claims {count} entries."
        raise DamagedError(what)
    rows, position = [], start + len(MAGIC) + COUNT.size
    for _ in range(count):
        offset, size, length = unpack(view, position, ENTRY)
        if length > MAX_ID:
            what = f"The offload bundle at {start:#x} has an entry name of {length} bytes."
            raise DamagedError(what)
        name = read(view, position + ENTRY.size, length).decode("utf-8", "replace")
        rows.append((offset, size, name, position - start))
        position += ENTRY.size + length
    return rows


def around(target: str, size: int) -> bytes:
    """Return what stands before a code object of `size` bytes that is the one device entry of a bundle."""
    device = DEVICE_ID.format(target=target).encode()
    head = len(MAGIC) + COUNT.size + 2 * ENTRY.size + len(HOST_ID) + len(device)
    start = head + -head % PAGE
    rows = ENTRY.pack(start, 0, len(HOST_ID)) + HOST_ID + ENTRY.pack(start, size, len(device)) + device
    return (MAGIC + COUNT.pack(2) + rows).ljust(start, b"\0")


def entry_id(view: View, record: int) -> bytes:
    """Return the id of the entry whose record starts at `record`, as it stands there."""
    (*_, length) = unpack(view, record, ENTRY)
    return read(view, record + ENTRY.size, min(length, MAX_ID))


def _plain(view: View, start: int, end: int) -> tuple[int, list[Image]]:
    rows = directory(view, start)
    listed = max((record + ENTRY.size + len(name) for *_, name, record in rows), default=len(MAGIC) + COUNT.size)
    stop = start + max([listed, *(offset + size for offset, size, *_ in rows)])  # past itself, whatever it claims
    if stop > end:
        what = f"The offload bundle at {start:#x} claims {stop - start} bytes; {end - start} are left."
        raise DamagedError(what)
    found = []
    for offset, size, name, record in rows:
        if not size or name.startswith("host-"):
            continue
        kind, target = split_id(name)
        header = _code_object(view.peek(start + offset, 64)) if kind == "hsaco" else None
        found.append(
            Image(
                kind=kind,
                target=target,
                bytes=size,
                offset=start + offset,
                container="offload-bundle",
                container_offset=start,
                container_bytes=stop - start,
                entry_offset=start + record,
                bundle_id=name,
                code_object_version=amdgpu.code_object_version(header) if header else None,
                generic_version=amdgpu.generic_version(header) if header else None,
            )
        )
    return stop, found


class Ccob(NamedTuple):
    """Header of a compressed bundle: its codec, where the stream and the bundle end, and the unpacked size."""

    codec: str
    payload: int
    stop: int
    unpacked: int


def ccob_header(view: View, start: int, end: int) -> Ccob:
    """Read the header of the compressed bundle at `start`.

    Raises:
        DamagedError: an unknown version or method, or sizes that do not fit.
    """
    _, version, method = unpack(view, start, CCOB_COMMON)
    if version not in CCOB_SIZES or method not in METHODS:
        what = f"The compressed bundle at {start:#x} has the unknown version {version} or method {method}."
        raise DamagedError(what)
    sizes, codec = CCOB_SIZES[version], METHODS[method]
    fields = unpack(view, start + CCOB_COMMON.size, sizes)
    payload = start + CCOB_COMMON.size + sizes.size
    unpacked = fields[-2]
    stop = start + fields[0]
    if version == 1:  # the only version that does not say how long it is
        stop = payload + stream_length(view, payload, end - payload, codec)
    if not payload <= stop <= end:
        what = f"The compressed bundle at {start:#x} claims {stop - start} of {end - start} bytes."
        raise DamagedError(what)
    refuse_bomb(f"The compressed bundle at {start:#x}", stop - start, unpacked)
    return Ccob(codec, payload, stop, unpacked)


def unpacked_view(view: View, start: int, end: int) -> StreamView:
    """Return what the compressed bundle at `start` holds, unpacked as it is read forwards."""
    header = ccob_header(view, start, end)

    def opener() -> Stream:
        return Stream(view, header.payload, header.stop - header.payload, header.codec)

    return StreamView(opener, header.unpacked)


def _compressed(view: View, start: int, end: int) -> tuple[int, list[Image]]:
    header = ccob_header(view, start, end)
    head = unpack_prefix(view, header.payload, header.stop - header.payload, header.codec, MAX_DIRECTORY)
    if not head.startswith(MAGIC):
        what = f"The compressed bundle at {start:#x} does not hold an offload bundle."
        raise DamagedError(what)
    found = []
    for offset, size, name, record in directory(BytesView(head), 0):
        if not size or name.startswith("host-"):
            continue
        if offset + size > header.unpacked:
            what = f"An entry of the compressed bundle at {start:#x} does not fit into its {header.unpacked} bytes."
            raise DamagedError(what)
        kind, target = split_id(name)
        found.append(
            Image(
                kind=kind,
                target=target,
                bytes=size,
                offset=offset,
                container="ccob",
                container_offset=start,
                container_bytes=header.stop - start,
                entry_offset=record,
                compression=header.codec,
                unpacked_bytes=size,
                bundle_id=name,
            )
        )
    return header.stop, found


def _code_object(data: bytes) -> elf.Header | None:
    if not data.startswith(elf.MAGIC):
        return None
    header = elf.parse_header(data)
    return header if header.machine == elf.EM_AMDGPU else None


def split_id(name: str) -> tuple[str, str]:
    """Split a bundle entry id into image kind and target.

    ``hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-`` is ``("hsaco", "gfx90a:xnack-")``; the target's own dashes
    (``gfx10-3-generic``) are why the triple's five fields are counted from the left.
    """
    fields = name.split("-", 5)
    architecture = fields[1] if len(fields) > 1 else ""
    target = fields[5] if len(fields) > 5 else fields[-1] if len(fields) == 5 else ""  # noqa: PLR2004
    if architecture.startswith("spir"):
        return "spirv", target or architecture
    if architecture.startswith("nvptx"):
        return "cubin", target
    return "hsaco", canonical(target)


def canonical(target: str) -> str:
    """Order a target id's features as LLVM prints them: by name."""
    processor, *features = target.split(":")
    return ":".join([processor, *sorted(features)])
