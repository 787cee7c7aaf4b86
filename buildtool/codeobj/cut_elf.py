"""A 64-bit ELF file without the bytes that thinning freed; every address in memory stays what it was.

What follows a shortened section keeps its address, so its segment is split in two around the gap, and the second part
moves down in the file only. The one program header more that this takes has no room where linkers put the table; the
table moves into the freed space, which its segment covers.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from buildtool.codeobj import elf
from buildtool.codeobj.compact import OTHER_DATA, Layout, Section, filled, lay_out, only_padding
from buildtool.codeobj.output import Copy, Output, Put
from buildtool.codeobj.relocations import Pointers, pointers
from buildtool.codeobj.view import View, read

PAGE = 4096
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
HEADER_TAIL = struct.Struct("<QQIHHHHHH")  # from e_phoff on
PHOFF = 32
MAX_PROGRAM_HEADERS = 0xFFFE


class Cut(NamedTuple):
    """A range of the file that goes: whole pages between the new end of a section and its old end."""

    low: int
    high: int


def cut(view: View, header: elf.Header, sections: list[Section]) -> tuple[Output, list[Layout]]:
    """Return the smaller file and what became of its sections.

    Raises:
        DamagedError: the file's tables contradict each other.
    """
    table = elf.sections(view, header)
    segments = elf.segments(view, header)
    found = pointers(view, header, table)
    layouts = [_layout(view, section, table, segments, found) for section in sections]
    cuts = [_cut(layout, segments, len(sections)) for layout in layouts]
    return _Writer(view, header, table, segments, layouts, cuts).output(found), layouts


def _layout(
    view: View, section: Section, table: list[elf.Section], segments: list[elf.Segment], found: Pointers
) -> Layout:
    low, high = section.address, section.address + section.size
    why = ""
    if not section.address:
        why = "the section has no address"
    elif any(low <= address < high for address in found.strangers):
        why = "other data points into the section"
    elif any(low <= value < high for value in found.values.values()) and _shared(section, table, segments):
        why = "the section shares its bytes with another one"
    elif not only_padding(view, section.offset, section.size, section.blocks):
        why = OTHER_DATA
    return lay_out(section, found.values.values(), why)


def _shared(section: Section, table: list[elf.Section], segments: list[elf.Segment]) -> bool:
    """Tell whether anything but its own segment overlaps the section's bytes."""
    low, high = section.offset, section.offset + section.size
    rows = [row for row in table if row.type != elf.SHT_NOBITS and row.size and row.name != section.name]
    over = any(row.offset < high and low < row.offset + row.size for row in rows)
    parts = [part for part in segments if part.filesz and part.offset < high and low < part.offset + part.filesz]
    around = [part for part in parts if part.type == elf.PT_LOAD]
    return over or len(parts) != 1 or len(around) != 1 or not _contains(around[0], low, high)


def _contains(part: elf.Segment, low: int, high: int) -> bool:
    return part.offset <= low and high <= part.offset + part.filesz


def _cut(layout: Layout, segments: list[elf.Segment], more: int) -> Cut | None:
    """Return the whole pages that the section does not need any more, with room for `more` program headers."""
    if not layout.moved or not _loadable(layout.section, segments):
        return None
    align = max([PAGE, *(part.align for part in segments if part.type == elf.PT_LOAD)])
    section = layout.section
    room = (len(segments) + more) * elf.SEGMENT.size + 8
    low = section.offset + layout.size + room
    low += -low % align
    high = (section.offset + section.size) // align * align
    if align & (align - 1) or high <= low or len(segments) + more > MAX_PROGRAM_HEADERS:
        return None
    return Cut(low, high)


def _loadable(section: Section, segments: list[elf.Segment]) -> bool:
    """Tell whether a table of program headers may move into this section.

    Linux before 5.18 tells a program's loader where the table is by its offset in the file alone.
    """
    loads = [part for part in segments if part.type == elf.PT_LOAD]
    program = any(part.type == elf.PT_INTERP for part in segments)
    return not program or section.address - section.offset == loads[0].address - loads[0].offset


class _Writer:
    """Puts the new file together; `_at` maps old offsets to new ones."""

    def __init__(
        self,
        view: View,
        header: elf.Header,
        table: list[elf.Section],
        segments: list[elf.Segment],
        layouts: list[Layout],
        cuts: list[Cut | None],
    ) -> None:
        self._view, self._header, self._table, self._segments = view, header, table, segments
        self._layouts, self._cuts = layouts, cuts
        self._gone = [one for one in cuts if one is not None]
        self._moves = {old: new for layout in layouts for old, new in layout.moves().items()}

    def _at(self, offset: int) -> int:
        return offset - sum(one.high - one.low for one in self._gone if one.high <= offset)

    def output(self, found: Pointers) -> Output:
        copies, puts, position = [], [], 0
        for layout in self._layouts:
            section = layout.section
            copies.append(Copy(self._at(position), position, section.offset - position))
            more, fresh = filled(layout, section.offset - self._at(section.offset))
            copies += more
            puts += fresh
            position = section.offset + section.size
        copies.append(Copy(self._at(position), position, self._view.size - position))
        puts += [*self._headers(), *self._section_headers(), *self._pointer_values(found), *self._symbols()]
        return Output(self._at(self._view.size), tuple(copy for copy in copies if copy.size), tuple(puts))

    def _headers(self) -> list[Put]:
        """Return the file header and the program headers, moved into freed space where there is one more of them."""
        parts: list[elf.Segment] = []
        for part in self._segments:
            parts += self._split(part)
        at = self._header.phoff if self._header.phnum else 0
        if len(parts) > self._header.phnum:
            layout = next(layout for layout, one in zip(self._layouts, self._cuts, strict=True) if one is not None)
            old = layout.section.offset + layout.size
            old += -old % 8
            at = self._at(old)
            address = old - layout.section.offset + layout.section.address
            parts = [self._own(part, at, address, len(parts)) for part in parts]
        header = self._header
        tail = read(self._view, PHOFF, HEADER_TAIL.size)
        fields = list(HEADER_TAIL.unpack(tail))
        fields[0], fields[1] = at, self._at(header.shoff) if header.shoff else 0
        fields[5] = len(parts)
        table = b"".join(elf.SEGMENT.pack(*part) for part in parts)
        return [Put(PHOFF, HEADER_TAIL.pack(*fields)), *([Put(at, table)] if parts else [])]

    def _own(self, part: elf.Segment, at: int, address: int, count: int) -> elf.Segment:
        if part.type != elf.PT_PHDR:
            return part
        size = count * elf.SEGMENT.size
        return part._replace(offset=at, address=address, physical=address, filesz=size, memsz=size)

    def _split(self, part: elf.Segment) -> list[elf.Segment]:
        inside = [one for one in self._gone if part.type == elf.PT_LOAD and _contains(part, one.low, one.high)]
        if not inside:
            return [part._replace(offset=self._at(part.offset))]
        found, start = [], part.offset
        end = part.offset + part.filesz
        for one in inside:
            found.append(self._piece(part, start, one.low - start, one.low - start))
            start = one.high
        rest = part.memsz - (start - part.offset)
        if (
            any(layout.section.offset + layout.section.size < end for layout in self._layouts_in(part))
            or rest > end - start
        ):
            found.append(self._piece(part, start, end - start, rest))
        return found

    def _layouts_in(self, part: elf.Segment) -> list[Layout]:
        """Return the last shortened section of a segment: what follows it is the segment's second part."""
        rows = [
            layout
            for layout, one in zip(self._layouts, self._cuts, strict=True)
            if one is not None and _contains(part, one.low, one.high)
        ]
        return rows[-1:]

    def _piece(self, part: elf.Segment, start: int, filesz: int, memsz: int) -> elf.Segment:
        shift = start - part.offset
        return part._replace(
            offset=self._at(start),
            address=part.address + shift,
            physical=part.physical + shift,
            filesz=filesz,
            memsz=memsz,
        )

    def _section_headers(self) -> list[Put]:
        puts = []
        sizes = {layout.section.offset: layout.size for layout in self._layouts if layout.moved}
        for number, row in enumerate(self._table):
            place = self._header.shoff + number * self._header.shentsize
            fields = list(SECTION_HEADER.unpack(read(self._view, place, SECTION_HEADER.size)))
            if row.type != elf.SHT_NOBITS and row.offset in sizes and row.size:
                fields[5] = sizes[row.offset]
            if number:
                fields[4] = self._at(row.offset)
            puts.append(Put(self._at(place), SECTION_HEADER.pack(*fields)))
        return puts

    def _pointer_values(self, found: Pointers) -> list[Put]:
        puts = []
        for address, value in found.values.items():
            new = self._moves.get(value, value)
            if new != value:
                puts.append(Put(self._at(found.places[address]), struct.pack("<Q", new)))
        return puts

    def _symbols(self) -> list[Put]:
        """Move the symbols that name containers (``__hip_fatbin``) along with them."""
        puts = []
        numbers = {
            number
            for number, row in enumerate(self._table)
            for layout in self._layouts
            if layout.moved and (row.name, row.offset) == (layout.section.name, layout.section.offset)
        }
        for row in self._table:
            if row.type not in (elf.SHT_SYMTAB, elf.SHT_DYNSYM):
                continue
            data = read(self._view, row.offset, row.size // elf.SYMBOL.size * elf.SYMBOL.size)
            for number, (name, info, other, index, value, size) in enumerate(elf.SYMBOL.iter_unpack(data)):
                new = self._moves.get(value, value) if index in numbers else value
                if new != value:
                    packed = elf.SYMBOL.pack(name, info, other, index, new, size)
                    puts.append(Put(self._at(row.offset + number * elf.SYMBOL.size), packed))
        return puts
