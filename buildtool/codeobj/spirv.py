"""SPIR-V modules, as compute shaders of Vulkan backends.

Layout: Khronos, "SPIR-V Specification", section 2.3: five header words (magic, version, generator, bound, schema),
then instructions whose first word says how many words they take.
"""

from __future__ import annotations

import struct

from buildtool.codeobj.model import Image
from buildtool.codeobj.view import View

MAGIC = 0x07230203
NEEDLE = struct.pack("<I", MAGIC)
HEADER = struct.Struct("<IIIII")
WORD = struct.Struct("<I")
MAX_BYTES = 16 << 20
BLOCK = 1 << 16
MAX_BOUND = 1 << 22  # the specification's own limit on ids
OP_FUNCTION_END = 56
HIGHEST_OPCODE = 7000
CORE_VERSIONS = range(0x10000, 0x10700, 0x100)


def at(view: View, position: int) -> list[Image]:
    """Return the module at `position`, or nothing if the words there are none.

    A module does not say how long it is; it ends with the last instruction of its last function.
    """
    head = view.peek(position, HEADER.size)
    if len(head) < HEADER.size:
        return []
    magic, version, _, bound, schema = HEADER.unpack(head)
    if magic != MAGIC or version not in CORE_VERSIONS or schema or not 0 < bound < MAX_BOUND:
        return []
    size = _length(view, position)
    if not size:
        return []
    return [
        Image(
            kind="spirv",
            target=f"spirv{version >> 16}.{version >> 8 & 0xFF}",
            bytes=size,
            offset=position,
            container_offset=position,
            container_bytes=size,
        )
    ]


def _length(view: View, position: int) -> int:
    """Walk the instructions, block by block, up to the last function's end."""
    at, end, start, block = position + HEADER.size, 0, position, memoryview(b"")
    while at < position + MAX_BYTES:
        if not start <= at < start + len(block):
            start, block = at, memoryview(view.peek(at, BLOCK))
            if len(block) < WORD.size:
                break
        if at + WORD.size > start + len(block):
            break
        (word,) = WORD.unpack_from(block, at - start)
        opcode, count = word & 0xFFFF, word >> 16
        if not count or opcode > HIGHEST_OPCODE or word == MAGIC:
            break
        at += count * WORD.size
        if opcode == OP_FUNCTION_END:
            end = at
    return min(end, view.size) - position if end else 0
