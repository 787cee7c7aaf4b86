"""Where the containers of one section go when they shrink, and the records of the host code that point at them.

The host code of a CUDA or HIP program finds its device code through small records: a magic number, a version, and the
address of the container (``__fatBinC_Wrapper_t`` in CUDA's ``fatbinary_section.h``; ``__CudaFatBinaryWrapper`` in HIP's
``hip_fatbin.cpp``). A container moves only when such a record is found for every container of its section, and nothing
but padding lies between them; else all of them keep their places, and what is taken out leaves holes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from buildtool.codeobj.blocks import Block, alignment
from buildtool.codeobj.output import Copy, Put
from buildtool.codeobj.view import View, read

WRAPPER_SECTIONS = frozenset({".nvFatBinSegment", ".nvFatBi", ".hipFatBinSegment", ".hipFatB"})
MAGICS = (0x466243B1, 0x48495046)
WRAPPER = struct.Struct("<IIQQ")
POINTER = 8  # offset of the address in the record
MAX_WRAPPERS = 64 << 20
PIECE = 1 << 20
OTHER_DATA = "other data lies between the containers"


class Section(NamedTuple):
    """A section with device code: its place in the file, its address, and its containers in order."""

    name: str
    offset: int
    size: int
    address: int
    blocks: tuple[Block, ...]


class Layout(NamedTuple):
    """The new places of a section's containers.

    Attributes:
        section: the section.
        starts: new offsets in the file, one per container, counted as if nothing before the section had moved.
        size: bytes the section needs now.
        moved: whether containers were brought together; else they keep their places and holes remain.
        why: for people, why not.
    """

    section: Section
    starts: tuple[int, ...]
    size: int
    moved: bool
    why: str = ""

    def moves(self) -> dict[int, int]:
        """Return the new address of every container by its old one; nothing where they keep their places."""
        if not self.moved:
            return {}
        ahead = self.section.address - self.section.offset
        pairs = zip(self.section.blocks, self.starts, strict=True)
        return {block.start + ahead: start + ahead for block, start in pairs}


def gaps(start: int, size: int, blocks: Iterable[Block]) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of what lies before, between and behind containers in a range of a file."""
    position = start
    for block in blocks:
        if block.start > position:
            yield position, block.start - position
        position = max(position, block.start + block.size)
    if start + size > position:
        yield position, start + size - position


def only_padding(view: View, start: int, size: int, blocks: Iterable[Block]) -> bool:
    """Tell whether nothing but zeros lies around the containers of a range."""
    for offset, length in gaps(start, size, blocks):
        for done in range(0, length, PIECE):
            if view.peek(offset + done, min(PIECE, length - done)).strip(b"\0"):
                return False
    return True


def records(view: View, address: int, offset: int, size: int) -> dict[int, int]:
    """Return the records of one section: address of the pointer field -> offset of that field in the file."""
    data = read(view, offset, min(size, MAX_WRAPPERS))
    found = {}
    for place in range(0, len(data) - WRAPPER.size + 1, 8):
        if struct.unpack_from("<I", data, place)[0] in MAGICS:
            found[address + place + POINTER] = offset + place + POINTER
    return found


def lay_out(section: Section, pointed: Iterable[int], why: str = "") -> Layout:
    """Bring the containers of a section together, if the host code's records name every one of them.

    Args:
        section: with its containers.
        pointed: the addresses that records of the host code hold.
        why: a reason not to move anything, "" for none.
    """
    ends = {block.start - section.offset + section.address for block in section.blocks}
    missing = ends - set(pointed)
    if missing and not why:
        why = f"the host code's record of {len(missing)} of {len(ends)} containers was not found"
    if why:
        return Layout(section, tuple(block.start for block in section.blocks), section.size, moved=False, why=why)
    starts, position, ahead = [], section.offset, section.address - section.offset
    for block in section.blocks:
        # Addresses count: a Windows section starts anywhere in its file.
        align = alignment(block.start + ahead, unit=block.unit)
        position += -(position + ahead) % align
        starts.append(position)
        position += block.new_size
    return Layout(section, tuple(starts), position - section.offset, moved=True)


def filled(layout: Layout, shift: int) -> tuple[list[Copy], list[Put]]:
    """Return the containers' bytes at their new places, `shift` bytes further down the file."""
    copies, puts = [], []
    section = layout.section
    if not layout.moved:
        copies += [
            Copy(start - shift, start, size) for start, size in gaps(section.offset, section.size, section.blocks)
        ]
    for block, start in zip(section.blocks, layout.starts, strict=True):
        at = start - shift
        copies += [Copy(at + copy.at, copy.source, copy.size) for copy in block.copies]
        puts += [Put(at + put.at, put.data) for put in block.puts]
    return copies, puts
