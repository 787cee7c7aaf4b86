"""Which addresses the loader writes into a 64-bit ELF file's data, and where the host code's records keep theirs."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj import elf
from buildtool.codeobj.compact import WRAPPER_SECTIONS, records
from buildtool.codeobj.view import DamagedError, View, read

SHT_RELA = 4
SHT_RELR = 19
RELA = struct.Struct("<QQq")
WORD = struct.Struct("<Q")
RELR_BITS = 63  # words that one entry of the packed form tells about
RELATIVE = {62: 8, 183: 1027}  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE
MAX_PACKED = 1 << 22
ADDEND = 16  # its offset in an entry of RELA


class Pointers(NamedTuple):
    """Where the host code's records keep their addresses, and what other relocations point to."""

    values: dict[int, int]  # address of the field -> address it will hold
    places: dict[int, int]  # address of the field -> offset of the value in the file (addend, or the field itself)
    strangers: tuple[int, ...]  # addresses that other relocations yield


def pointers(view: View, header: elf.Header, table: list[elf.Section]) -> Pointers:
    """Read the records of the host code and every relocation against an address.

    Raises:
        DamagedError: a table does not lie in the file, or claims more than any real file has.
    """
    fields: dict[int, int] = {}
    for row in table:
        if row.name in WRAPPER_SECTIONS and row.type != elf.SHT_NOBITS:
            fields |= records(view, row.address, row.offset, row.size)
    values = {address: WORD.unpack(read(view, place, WORD.size))[0] for address, place in fields.items()}
    places, strangers = dict(fields), []
    for row in table:
        if row.type == SHT_RELR and row.address:
            strangers += [value for address, value in _packed(view, table, row) if address not in fields]
        if row.type != SHT_RELA or not row.address:
            continue
        data = read(view, row.offset, row.size // RELA.size * RELA.size)
        for number, (offset, info, addend) in enumerate(RELA.iter_unpack(data)):
            if info & 0xFFFFFFFF != RELATIVE.get(header.machine):
                if offset in values:
                    del values[offset], places[offset]  # through a symbol: not followed
                continue
            if offset in fields:
                values[offset], places[offset] = addend, row.offset + number * RELA.size + ADDEND
            else:
                strangers.append(addend)
    return Pointers(values, places, tuple(strangers))


def _packed(view: View, table: list[elf.Section], row: elf.Section) -> Iterator[tuple[int, int]]:
    """Yield (address of the field, what it holds in the file) of relocations in the packed form (``SHT_RELR``)."""
    parts = sorted((part.address, part) for part in table if part.address and part.type != elf.SHT_NOBITS)
    starts = [address for address, _ in parts]
    data = read(view, row.offset, row.size // WORD.size * WORD.size)
    for number, address in enumerate(_addresses(data)):
        if number > MAX_PACKED:
            what = f"The section {row.name} claims more than {MAX_PACKED} relocations."
            raise DamagedError(what)
        index = bisect.bisect_right(starts, address) - 1
        part = parts[index][1] if index >= 0 else None
        if part is not None and address + WORD.size <= part.address + part.size:
            yield address, WORD.unpack(read(view, part.offset + address - part.address, WORD.size))[0]


def _addresses(data: bytes) -> Iterator[int]:
    """Yield the addresses of a ``SHT_RELR`` table: an even entry is one; an odd one is a map of the words behind it."""
    base = 0
    for (entry,) in WORD.iter_unpack(data):
        if not entry & 1:
            yield entry
            base = entry + WORD.size
            continue
        for bit in range(RELR_BITS):
            if entry >> (bit + 1) & 1:
                yield base + bit * WORD.size
        base += RELR_BITS * WORD.size
