"""A minimal, bounded reader of ELF headers and section tables (32 and 64 bit, both byte orders).

It exists beside pyelftools because a 1 GB library has to be answered in half a second: only the file
header, the section table and its names are touched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj.view import DamagedError, SubView, View, read, refuse_shared

MAGIC = b"\x7fELF"
EM_CUDA = 190
EM_AMDGPU = 224
MAX_SECTIONS = 1 << 20
MAX_NAMES = 64 << 20
MAX_SECTION_NAME = 256  # longer ones are cut: tables may name the tail of one huge string again and again
MAX_SYMBOL_NAME = 1 << 20
MAX_OVERLAP = 16  # how often, on average, the symbols of a real file use each byte of their names
SMALL_NAMES = 16 << 20
SHT_NULL = 0
SHT_NOBITS = 8
SHT_SYMTAB = 2
SHT_NOTE = 7
SHT_DYNSYM = 11
SHN_XINDEX = 0xFFFF
PT_LOAD = 1
PT_INTERP = 3
PT_NOTE = 4
PT_PHDR = 6
SEGMENT = struct.Struct("<IIQQQQQQ")
SYMBOL = struct.Struct("<IBBHQQ")


class Header(NamedTuple):
    """The ELF file header's fields that say what the file is."""

    bits: int
    order: str
    osabi: int
    abiversion: int
    type: int
    machine: int
    flags: int
    shoff: int
    shentsize: int
    shnum: int
    shstrndx: int
    phoff: int
    phentsize: int
    phnum: int


class Section(NamedTuple):
    """One section: name, type, place in the file, link, and entry size."""

    name: str
    type: int
    address: int
    offset: int
    size: int
    link: int
    entsize: int


def parse_header(data: bytes) -> Header:
    """Decode the first 64 bytes of an ELF file.

    Raises:
        DamagedError: too short, or of a class or byte order that does not exist.
    """
    minimum = 52
    if len(data) < minimum or data[:4] != MAGIC or data[4] not in (1, 2) or data[5] not in (1, 2):
        what = "The ELF header is damaged."
        raise DamagedError(what, why="It is cut off, or its class or byte order does not exist.")
    order = "<" if data[5] == 1 else ">"
    layout = "HHIIIIIHHHHHH" if data[4] == 1 else "HHIQQQIHHHHHH"
    if len(data) < 16 + struct.calcsize(order + layout):
        what = "The ELF header is cut off."
        raise DamagedError(what)
    kind, machine, _, _, phoff, shoff, flags, _, phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from(
        order + layout, data, 16
    )
    return Header(
        32 * data[4], order, data[7], data[8], kind, machine, flags, shoff, shentsize, shnum, shstrndx,
        phoff, phentsize, phnum,
    )  # fmt: skip


def sections(view: View, header: Header | None = None) -> list[Section]:
    """Return the section table; empty for a file stripped of it.

    Raises:
        DamagedError: the table does not lie in the file, or its sections share their bytes.
    """
    header = header or parse_header(view.peek(0, 64))
    if header.shoff == 0:
        return []
    layout = struct.Struct(header.order + ("IIIIIIIIII" if header.bits == 32 else "IIQQQQIIQQ"))  # noqa: PLR2004
    if header.shentsize < layout.size:
        what = f"The section table's entries of {header.shentsize} bytes are too small."
        raise DamagedError(what)
    count, names_index = header.shnum, header.shstrndx
    if count == 0 or names_index == SHN_XINDEX:
        first = layout.unpack(read(view, header.shoff, layout.size))
        count = count or first[5]
        names_index = first[6] if names_index == SHN_XINDEX else names_index
    if count > MAX_SECTIONS:
        what = f"The file claims {count} sections."
        raise DamagedError(what)
    table = read(view, header.shoff, count * header.shentsize)
    rows = [layout.unpack_from(table, index * header.shentsize) for index in range(count)]
    refuse_shared(view, ((row[4], row[5]) for row in rows if row[1] not in (SHT_NULL, SHT_NOBITS)))
    names = b""
    if names_index < count and rows[names_index][1] != SHT_NOBITS:
        names = view.peek(rows[names_index][4], min(rows[names_index][5], MAX_NAMES))
    return [
        Section(text_at(names, row[0], MAX_SECTION_NAME), row[1], row[3], row[4], row[5], row[6], row[9])
        for row in rows
    ]


class Segment(NamedTuple):
    """One program header of a 64-bit little-endian file, as it stands there."""

    type: int
    flags: int
    offset: int
    address: int
    physical: int
    filesz: int
    memsz: int
    align: int


def segments(view: View, header: Header) -> list[Segment]:
    """Return the program headers of a 64-bit little-endian file.

    Raises:
        DamagedError: the table does not lie in the file, or its entries are of another size.
    """
    if not header.phnum or not header.phoff:
        return []
    if header.phentsize != SEGMENT.size:
        what = f"The program headers' entries of {header.phentsize} bytes are of a wrong size."
        raise DamagedError(what)
    table = read(view, header.phoff, header.phnum * SEGMENT.size)
    return [Segment(*row) for row in SEGMENT.iter_unpack(table)]


class Symbol(NamedTuple):
    """A symbol: name, type (``STT_*``) and the ``st_other`` byte."""

    name: str
    type: int
    other: int


def symbols(view: View, table: list[Section]) -> Iterator[Symbol]:
    """Walk the symbols of a 64-bit little-endian file: ``.symtab`` if it has one, else ``.dynsym``.

    Raises:
        DamagedError: the table does not lie in the file, or its names are far longer than their table.
    """
    kinds = [section.type for section in table]
    wanted = SHT_SYMTAB if SHT_SYMTAB in kinds else SHT_DYNSYM
    for section in table:
        if section.type != wanted or section.link >= len(table):
            continue
        strings = table[section.link]
        names = read(view, strings.offset, strings.size)
        rows = read(view, section.offset, section.size // SYMBOL.size * SYMBOL.size)
        room = max(SMALL_NAMES, MAX_OVERLAP * len(names))
        for offset, info, other, *_ in SYMBOL.iter_unpack(rows):
            name = text_at(names, offset, MAX_SYMBOL_NAME)
            room -= len(name)
            if room < 0:
                what = f"The names of the symbols are far longer than the {len(names)} bytes they stand in."
                raise DamagedError(what)
            yield Symbol(name, info & 0xF, other)


def extent(view: View, start: int, header: Header) -> int:
    """Return how many bytes the ELF file that starts at `start` of a larger one takes: up to its last table or section.

    Raises:
        DamagedError: it claims more than there is.
    """
    inner = SubView(view, start, view.size - start)
    end = max(64, header.phoff + header.phnum * header.phentsize, header.shoff + header.shnum * header.shentsize)
    for section in sections(inner, header):
        if section.type != SHT_NOBITS:
            end = max(end, section.offset + section.size)
    if end > inner.size:
        what = f"The ELF file at {start:#x} claims {end} of {inner.size} bytes."
        raise DamagedError(what)
    return end


def text_at(table: bytes, offset: int, limit: int) -> str:
    """Return the zero-terminated string at `offset` of a string table, cut at `limit` bytes; "" outside the table."""
    end = table.find(b"\0", offset, offset + limit)
    return table[offset : end if end >= 0 else offset + limit].decode("utf-8", "replace")
