"""Cuts whole pages out of a library that nobody in the bundle reads: headers that clang compiled beforehand.

Every address in memory stays what it was. Where the pages were, memory holds zeros, so that who reads them after all
finds no header there; the file ends sooner. The segment that held them becomes two or more, and their entries need room
behind the table of program headers: a file that has none is left as it is.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from buildtool.codeobj import elf
from buildtool.codeobj.output import Copy, Output, Put, checked, write
from buildtool.codeobj.view import DamagedError, View, find, open_view, read
from buildtool.store.digest import sha256_of

MAGIC = b"CPCH"
BLOCK = struct.Struct("<II")
# LLVM's bitstream: the abbreviation that enters a block, and the bits of such an entry's first word.
ENTER, WIDTH = 1, 14
SHT_PROGBITS, SHT_RELA = 1, 4
RELA = struct.Struct("<QQq")
SECTION = struct.Struct("<IIQQQQIIQQ")
TAIL = struct.Struct("<QQIHHHHHH")  # of the file header, from e_phoff on
PHOFF = 32


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range that is no longer in the file: where it was (a multiple of pages), and the SHA-256 of its bytes."""

    offset: int
    bytes: int
    sha256: str


class Hollowed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was cut out of a library, with its SHA-256 before and after."""

    schema: int = 1
    path: str
    was_sha256: str
    sha256: str
    gone: tuple[Gone, ...]


class _Cut(NamedTuple):
    low: int
    high: int


def hollow(library: Path) -> Hollowed | None:
    """Cut the precompiled headers out of a library of our own; None, and nothing is changed, where that cannot be.

    Raises:
        DamagedError: the file contradicts itself.
        StorageError: it cannot be written.
    """
    with open_view(library) as view:
        header = elf.parse_header(view.peek(0, 64))
        if header.bits != 64 or header.order != "<":  # noqa: PLR2004
            return None
        table, segments = elf.sections(view, header), elf.segments(view, header)
        cuts = _apart(_pages(view, table, segments, piece) for piece in _headers(view, table))
        if not cuts or not _has_room(header, table, segments, len(cuts)):
            return None
        gone = tuple(
            Gone(offset=low, bytes=high - low, sha256=hashlib.sha256(read(view, low, high - low)).hexdigest())
            for low, high in cuts
        )
        try:
            output = checked(_output(view, header, table, segments, cuts), view.size)
        except struct.error as error:
            what = "The program or section headers contradict each other."
            raise DamagedError(what, why=str(error)) from error
        was, draft = sha256_of(library), library.with_name(library.name + ".draft")
        write(output, library, draft, lambda _: None)
    draft.replace(library)
    return Hollowed(path=library.name, was_sha256=was, sha256=sha256_of(library), gone=gone)


def _headers(view: View, table: Sequence[elf.Section]) -> Iterator[_Cut]:
    """Yield where precompiled headers lie: their blocks tell their length, which stands behind them as well."""
    for section in table:
        if section.type != SHT_PROGBITS or not section.address:
            continue
        at, end = section.offset, section.offset + section.size
        while (at := find(view, MAGIC, at, end)) >= 0:
            stop = at + len(MAGIC)
            while stop + BLOCK.size <= end:
                word, length = BLOCK.unpack(read(view, stop, BLOCK.size))
                if word & 3 != ENTER or word >> WIDTH or stop + BLOCK.size + 4 * length > end:
                    break
                stop += BLOCK.size + 4 * length
            if stop - at > len(MAGIC) and int.from_bytes(view.peek(stop, 4), "little") == stop - at:
                yield _Cut(at, stop)
            at = max(stop, at + 1)


def _pages(view: View, table: Sequence[elf.Section], segments: Sequence[elf.Segment], piece: _Cut) -> _Cut | None:
    """Return the whole pages inside a piece, if one loaded segment holds them and the loader writes nothing there."""
    around = [part for part in segments if part.type == elf.PT_LOAD and _holds(part, piece)]
    if len(around) != 1:
        return None
    align = max(4096, around[0].align)
    low, high = piece.low + -piece.low % align, piece.high // align * align
    ahead = around[0].address - around[0].offset
    others = [part for part in segments if part.type != elf.PT_LOAD and part.filesz]
    if (
        align & (align - 1)
        or high <= low
        or any(part.offset < high and low < part.offset + part.filesz for part in others)
    ):
        return None
    written = any(low + ahead <= place < high + ahead for place in _relocated(view, table))
    return None if written else _Cut(low, high)


def _apart(cuts: Iterable[_Cut | None]) -> list[_Cut]:
    """Return cuts in the file's order, whatever the order of its sections; of two that meet, the first."""
    found: list[_Cut] = []
    for cut in sorted(filter(None, cuts)):
        if not found or cut.low >= found[-1].high:
            found.append(cut)
    return found


def _holds(part: elf.Segment, piece: _Cut) -> bool:
    return part.offset <= piece.low and piece.high <= part.offset + part.filesz


def _relocated(view: View, table: Sequence[elf.Section]) -> Iterator[int]:
    for section in table:
        if section.type == SHT_RELA and section.address:
            rows = read(view, section.offset, section.size // RELA.size * RELA.size)
            yield from (place for place, _, _ in RELA.iter_unpack(rows))


def _has_room(header: elf.Header, table: Sequence[elf.Section], segments: Sequence[elf.Segment], more: int) -> bool:
    """Tell whether as many more program headers fit behind the others, in the first segment, over no section."""
    low = header.phoff + header.phnum * elf.SEGMENT.size
    high = low + more * elf.SEGMENT.size
    first = next((part for part in segments if part.type == elf.PT_LOAD), None)
    free = all(row.offset >= high or row.offset + row.size <= low for row in table if row.type and row.size)
    own = any(part.type == elf.PT_PHDR for part in segments)
    return free and not own and first is not None and not first.offset and high <= first.filesz


def _output(
    view: View, header: elf.Header, table: Sequence[elf.Section], segments: Sequence[elf.Segment], cuts: Sequence[_Cut]
) -> Output:
    def at(offset: int) -> int:
        return offset - sum(cut.high - cut.low for cut in cuts if cut.high <= offset)

    edges = [0, *(edge for cut in cuts for edge in cut), view.size]
    copies = tuple(Copy(at(low), low, high - low) for low, high in zip(edges[::2], edges[1::2], strict=True))
    parts = [piece for part in segments for piece in _split(part, cuts)]
    parts = [part._replace(offset=at(part.offset)) for part in parts]
    fields = list(TAIL.unpack(read(view, PHOFF, TAIL.size)))
    fields[1], fields[5] = at(header.shoff), len(parts)
    puts = [
        Put(PHOFF, TAIL.pack(*fields)),
        Put(header.phoff, b"".join(elf.SEGMENT.pack(*part) for part in parts)),
    ]
    for number, row in enumerate(table):
        place = header.shoff + number * header.shentsize
        values = list(SECTION.unpack(read(view, place, SECTION.size)))
        values[4] = at(row.offset)
        inside = [cut.low for cut in cuts if row.offset <= cut.low < row.offset + row.size and row.type == SHT_PROGBITS]
        values[5] = inside[0] - row.offset if inside else row.size  # the rest is in the segment, and in no section
        puts.append(Put(at(place), SECTION.pack(*values)))
    return Output(at(view.size), copies, tuple(puts))


def _split(part: elf.Segment, cuts: Sequence[_Cut]) -> Iterator[elf.Segment]:
    """Yield the parts of a segment around its cuts; zeros in memory stand for what went."""
    start = part.offset
    for cut in cuts:
        if part.type == elf.PT_LOAD and _holds(part, cut):
            yield _piece(part, start, cut.low - start, cut.high - start)
            start = cut.high
    yield _piece(part, start, part.filesz - (start - part.offset), part.memsz - (start - part.offset))


def _piece(part: elf.Segment, start: int, filesz: int, memsz: int) -> elf.Segment:
    ahead = start - part.offset
    return part._replace(
        offset=start, address=part.address + ahead, physical=part.physical + ahead, filesz=filesz, memsz=memsz
    )
