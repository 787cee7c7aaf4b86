"""A 64-bit Windows binary without the bytes that thinning freed; every address in memory stays what it was.

Windows wants the sections of an image to follow each other in memory, so a shortened section keeps its size there and
its end is filled with zeros; only its bytes in the file become fewer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj import pe
from buildtool.codeobj.compact import (
    OTHER_DATA,
    WRAPPER_SECTIONS,
    Layout,
    Section,
    filled,
    lay_out,
    only_padding,
    records,
)
from buildtool.codeobj.output import Copy, Output, Put
from buildtool.codeobj.view import DamagedError, View, read, unpack

PE32_PLUS = 0x20B
OPTIONAL = 24  # from the PE signature
IMAGE_BASE, FILE_ALIGNMENT, CHECKSUM, DIRECTORIES = 24, 36, 64, 108  # in the optional header
CERTIFICATES, RELOCATIONS, DEBUG = 4, 5, 6  # data directories
RELOCATION_BLOCK = struct.Struct("<II")  # page, bytes of the block
ABSOLUTE_64 = 10  # IMAGE_REL_BASED_DIR64
MAX_RELOCATIONS = 1 << 22
POINTER = struct.Struct("<Q")
DEBUG_ENTRY = 28
DEBUG_POINTER = 24
SECTION_RAW = 16  # SizeOfRawData, then PointerToRawData, in a section header
SYMBOLS = 12  # PointerToSymbolTable, from the PE signature
MAX_DEBUG = 64


class Header(NamedTuple):
    """What of a PE header has to change: where things stand, and how they are aligned."""

    start: int
    optional: int
    sections: int
    base: int
    alignment: int
    directories: int


class Row(NamedTuple):
    """One section header: its place in the file, and its fields."""

    place: int
    name: str
    virtual_size: int
    address: int
    raw_size: int
    raw: int


def parse(view: View) -> tuple[Header, list[Row]]:
    """Read the headers of a PE32+ image.

    Raises:
        DamagedError: it is none, or its headers contradict each other.
    """
    (start,) = unpack(view, 0x3C, struct.Struct("<I"))
    *_, size, _ = unpack(view, start + 4, pe.FILE_HEADER)
    optional = start + OPTIONAL
    if size < DIRECTORIES + 4 or unpack(view, optional, struct.Struct("<H"))[0] != PE32_PLUS:
        what = "The file is no 64-bit Windows binary."
        raise DamagedError(what)
    (base,) = unpack(view, optional + IMAGE_BASE, struct.Struct("<Q"))
    (alignment,) = unpack(view, optional + FILE_ALIGNMENT, struct.Struct("<I"))
    (directories,) = unpack(view, optional + DIRECTORIES, struct.Struct("<I"))
    if alignment & (alignment - 1) or not 1 <= alignment <= 1 << 16 or DIRECTORIES + 4 + 8 * directories > size:
        what = "The Windows header contradicts itself."
        raise DamagedError(what)
    rows = []
    for number, section in enumerate(pe.sections(view)):
        place = optional + size + number * pe.SECTION.size
        _, virtual, address, raw_size, raw, *_ = unpack(view, place, pe.SECTION)
        rows.append(Row(place, section.name, virtual, address, raw_size, raw))
    return Header(start, optional, optional + size, base, alignment, directories), rows


def cut(view: View, sections: list[Section]) -> tuple[Output, list[Layout]]:
    """Return the smaller file and what became of its sections; their addresses are relative to the image.

    Raises:
        DamagedError: the file's headers contradict each other.
    """
    header, rows = parse(view)
    pointers: dict[int, int] = {}
    for row in rows:
        if row.name in WRAPPER_SECTIONS:
            pointers |= records(view, row.address, row.raw, min(row.raw_size, row.virtual_size or row.raw_size))
    values = {place: POINTER.unpack(read(view, place, POINTER.size))[0] - header.base for place in pointers.values()}
    strangers = [value for address, value in _absolute(view, header, rows) if address not in pointers]
    layouts = [lay_out(section, values.values(), _why_not(view, section, rows, strangers)) for section in sections]
    return _Writer(view, header, rows, layouts).output(values), layouts


def _why_not(view: View, section: Section, rows: list[Row], strangers: list[int]) -> str:
    if any(section.address <= value < section.address + section.size for value in strangers):
        return "other data points into the section"
    if not only_padding(view, section.offset, section.size, section.blocks):
        return OTHER_DATA
    return _overlapped(section, rows)


def _directory(view: View, header: Header, number: int) -> tuple[int, int, int]:
    """Return where a data directory's entry stands, and what it says; zeros for one that is not there."""
    if number >= header.directories:
        return 0, 0, 0
    place = header.optional + DIRECTORIES + 4 + 8 * number
    return (place, *unpack(view, place, struct.Struct("<II")))


def _file_offset(rows: list[Row], address: int) -> int | None:
    """Return where the byte at an address lies in the file, None for one that does not."""
    for row in rows:
        if row.address <= address < row.address + row.raw_size:
            return address - row.address + row.raw
    return None


def _absolute(view: View, header: Header, rows: list[Row]) -> Iterator[tuple[int, int]]:
    """Yield the pointers that Windows relocates: (their address, the one they hold), both relative to the image.

    Raises:
        DamagedError: the table claims more than any real file has.
    """
    _, address, size = _directory(view, header, RELOCATIONS)
    position = _file_offset(rows, address) if size else None
    if position is None:
        return
    end, count = position + size, 0
    while position + RELOCATION_BLOCK.size <= end:
        page, length = unpack(view, position, RELOCATION_BLOCK)
        offset = _file_offset(rows, page)
        entries = read(view, position + RELOCATION_BLOCK.size, max(0, length - RELOCATION_BLOCK.size) // 2 * 2)
        count += len(entries)
        if length < RELOCATION_BLOCK.size or count > MAX_RELOCATIONS:
            what = f"The relocations at {position:#x} contradict themselves."
            raise DamagedError(what)
        for (entry,) in struct.iter_unpack("<H", entries):
            if entry >> 12 == ABSOLUTE_64 and offset is not None:
                place = offset + (entry & 0xFFF)
                yield page + (entry & 0xFFF), POINTER.unpack(read(view, place, POINTER.size))[0] - header.base
        position += length


def _overlapped(section: Section, rows: list[Row]) -> str:
    low, high = section.offset, section.offset + section.size
    over = sum(row.raw < high and low < row.raw + row.raw_size for row in rows if row.raw_size)
    return "" if over == 1 else "the section shares its bytes with another one"


class _Writer:
    """Puts the new file together."""

    def __init__(self, view: View, header: Header, rows: list[Row], layouts: list[Layout]) -> None:
        self._view, self._header, self._rows, self._layouts = view, header, rows, layouts
        self._raw: dict[int, int] = {}  # raw pointer of a shortened section -> its new raw size
        self._gone: list[tuple[int, int]] = []  # (old end of a section's bytes, how many of them go)
        for layout in layouts:
            row = next(row for row in rows if row.raw == layout.section.offset and row.raw_size)
            new = -(-layout.size // header.alignment) * header.alignment
            if layout.moved and new < row.raw_size and not row.raw_size % header.alignment:
                self._raw[row.raw] = new
                self._gone.append((row.raw + row.raw_size, row.raw_size - new))

    def _at(self, offset: int) -> int:
        return offset - sum(size for end, size in self._gone if end <= offset)

    def output(self, values: dict[int, int]) -> Output:
        copies, puts, position = [], [], 0
        end = self._end()
        for layout in self._layouts:
            section = layout.section
            copies.append(Copy(self._at(position), position, section.offset - position))
            more, fresh = filled(layout, section.offset - self._at(section.offset))
            copies += more
            puts += fresh
            position = section.offset + section.size
            row = next(row for row in self._rows if row.raw == section.offset and row.raw_size)
            if section.offset in self._raw:
                position = row.raw + row.raw_size
        copies.append(Copy(self._at(position), position, max(0, end - position)))
        puts += [*self._sections(), *self._optional(), *self._debug()]
        moves = {old: new for layout in self._layouts for old, new in layout.moves().items()}
        for place, value in values.items():
            if value in moves:
                puts.append(Put(self._at(place), struct.pack("<Q", moves[value] + self._header.base)))
        return Output(self._at(end), tuple(copy for copy in copies if copy.size > 0), tuple(puts))

    def _end(self) -> int:
        """Return where the file ends: before its signature, which no change survives."""
        _, start, size = _directory(self._view, self._header, CERTIFICATES)
        return start if start and start + size == self._view.size else self._view.size

    def _sections(self) -> list[Put]:
        puts = []
        for row in self._rows:
            size = self._raw.get(row.raw, row.raw_size) if row.raw_size else row.raw_size
            fields = struct.pack("<II", size, self._at(row.raw) if row.raw else 0)
            puts.append(Put(row.place + SECTION_RAW, fields))
        return puts

    def _optional(self) -> list[Put]:
        place = self._header.start + SYMBOLS
        (symbols,) = unpack(self._view, place, struct.Struct("<I"))
        puts = [
            Put(self._header.optional + CHECKSUM, bytes(4)),  # none; only drivers need one
            Put(place, struct.pack("<I", self._at(symbols) if symbols else 0)),
        ]
        certificates, start, _ = _directory(self._view, self._header, CERTIFICATES)
        if start:
            puts.append(Put(certificates, bytes(8)))
        return puts

    def _debug(self) -> list[Put]:
        """Move the file offsets in the debug directory, which lies in some section."""
        _, address, size = _directory(self._view, self._header, DEBUG)
        puts = []
        for row in self._rows:
            if not address or not row.address <= address < row.address + row.raw_size:
                continue
            place = address - row.address + row.raw
            for number in range(min(size // DEBUG_ENTRY, MAX_DEBUG)):
                at = place + number * DEBUG_ENTRY + DEBUG_POINTER
                (pointer,) = unpack(self._view, at, struct.Struct("<I"))
                if pointer:
                    puts.append(Put(self._at(at), struct.pack("<I", self._at(pointer))))
        return puts
