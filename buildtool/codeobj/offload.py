"""LLVM offload binaries (``.llvm.offloading``), the container of clang's new offload driver and of SYCL and OpenMP.

Layout: LLVM, ``llvm/Object/OffloadBinary.h`` (version 1): header (magic, version, size, offset and size of the entry),
entry (image kind, producer, flags, offset and number of strings, offset and size of the image), strings in pairs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from buildtool.codeobj.bundle import canonical
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import DamagedError, View, find, peek_text, unpack

MAGIC = b"\x10\xff\x10\xad"
HEADER = struct.Struct("<4sIQQQ")
ENTRY = struct.Struct("<HHIQQQQ")
STRING = struct.Struct("<QQ")
KINDS = {1: "object", 2: "bitcode", 3: "cubin", 4: "fatbin", 5: "ptx", 6: "spirv"}
MAX_STRINGS = 64
MAX_TEXT = 256  # all entries of a file may point at one long string
MAX_BINARIES = 1 << 20


def images(view: View, start: int, end: int) -> Iterator[Image]:
    """Walk every offload binary between `start` and `end`.

    Raises:
        DamagedError: one that does not fit.
    """
    position = find(view, MAGIC, start, end)
    for _ in range(MAX_BINARIES):
        if not 0 <= position < end:
            return
        _, _, size, entry, _ = unpack(view, position, HEADER)
        if not HEADER.size <= size <= end - position or entry > size:
            what = f"The offload binary at {position:#x} claims {size} of {end - position} bytes."
            raise DamagedError(what)
        yield _image(view, position, size, entry)
        position = find(view, MAGIC, position + size, end)


def _image(view: View, start: int, size: int, entry: int) -> Image:
    kind, _, _, strings, count, offset, length = unpack(view, start + entry, ENTRY)
    if count > MAX_STRINGS or offset + length > size:
        what = f"The offload binary at {start:#x} has an entry that does not fit."
        raise DamagedError(what)
    texts: dict[str, str] = {}
    for index in range(count):
        key, value = unpack(view, start + strings + index * STRING.size, STRING)
        texts[peek_text(view, start + key, MAX_TEXT)] = peek_text(view, start + value, MAX_TEXT)
    triple, arch = texts.get("triple", ""), canonical(texts.get("arch", ""))
    name = KINDS.get(kind, f"other-{kind}")
    if name == "object" and triple.startswith("amdgcn"):
        name = "hsaco"
    return Image(
        kind=name,
        target=arch or triple.split("-")[0],
        bytes=length,
        offset=start + offset,
        container="offload-binary",
        container_offset=start,
        container_bytes=size,
        entry_offset=start + entry,
        bundle_id=triple or None,
    )
