"""Takes a need off a library: it no longer asks for one whose functions are never called where it goes.

Two things in the file say that library A needs library B: an entry of its dynamic section (``DT_NEEDED``), which makes
the loader open B, and A's undefined symbols that only B defines, which make the loader refuse A when nobody does. The
entry goes, and the symbols become weak: what nobody defines is then no fault, at whatever time symbols are bound
(lazily, at once with ``LD_BIND_NOW``, or by ``dlopen`` with ``RTLD_NOW``). Where B is loaded for another reason, it is
used as before. Everything else keeps its place and its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from buildtool.codeobj import elf
from buildtool.codeobj.manifest import Change, FileChange, apply, difference
from buildtool.codeobj.view import DamagedError, View, open_view, read
from buildtool.errors import BuildError
from buildtool.store.digest import sha256_of

SHT_RELA, SHT_DYNAMIC, SHT_VERNEED, SHT_VERSYM = 4, 6, 0x6FFFFFFE, 0x6FFFFFFF
DT_NEEDED, DT_VERNEEDNUM = 1, 0x6FFFFFFF
UNDEFINED, STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 0, 1, 2
UNVERSIONED = 1  # the highest index in .gnu.version that names no version
DYNAMIC, RELA, NEED, INDEX = struct.Struct("<qQ"), struct.Struct("<QQq"), struct.Struct("<HHIII"), struct.Struct("<H")
INFO = 4  # offset of st_info in a symbol
MAX_NEEDS = 1 << 12
# What may point to a weak symbol that nobody defines: a slot that stays zero. By ELF machine: 64, GLOB_DAT, JUMP_SLOT.
SLOTS = {62: frozenset({1, 6, 7}), 183: frozenset({257, 1025, 1026})}


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was changed in a library, byte for byte.

    Attributes:
        without: sonames that it needs no more.
        symbols: undefined symbols that became weak.
        file: its name, hashes before and after, and every byte range.
    """

    schema: int = 1
    without: tuple[str, ...]
    symbols: tuple[str, ...]
    file: FileChange


class _Undefined(NamedTuple):
    """An undefined symbol: its number, its name, its ``st_info`` byte, and where that stands in the file."""

    number: int
    name: str
    info: int
    place: int


def can_spare(library: Path, soname: str, provider: Path, symbols: Sequence[str]) -> bool:
    """Tell whether a library can do without another one, as far as its loader is concerned.

    Args:
        library: the one that needs it.
        soname: the one that is needed.
        provider: the file behind that name.
        symbols: what is known of the functions that are never called (globs); anything else forbids it.
    """
    with open_view(library) as view, open_view(provider) as other:
        header = elf.parse_header(view.peek(0, 64))
        if header.bits != 64 or header.order != "<" or header.machine not in SLOTS:  # noqa: PLR2004
            return False
        table = elf.sections(view, header)
        if soname in _versioned(view, table):
            return False  # the loader looks for the file that a version is of, and stops where there is none
        leaving = _leaving(view, table, _defined(other))
        known = all(any(fnmatchcase(one.name, pattern) for pattern in symbols) for one in leaving)
        return known and _only_slots(view, header, table, {one.number for one in leaving})


def takes(library: Path) -> frozenset[str]:
    """Return the names of all functions and data that a library takes from others.

    Raises:
        DamagedError: its tables contradict themselves.
    """
    with open_view(library) as view:
        return frozenset(
            _text(names, name)
            for _, names, rows in _dynamic_symbols(view, elf.sections(view))
            for name, _, _, part, _, _ in elf.SYMBOL.iter_unpack(rows)
            if part == UNDEFINED
        )


def spare(library: Path, providers: dict[str, Path]) -> Record:
    """Change a library of our own, in place, so that it needs the libraries of these sonames no more.

    Raises:
        BuildError: it does not need one of them.
        StorageError: it cannot be written.
    """
    was = sha256_of(library)
    with open_view(library) as view:
        table = elf.sections(view)
        gone = sorted(providers)
        changes, symbols = [_without(view, table, gone, library.name)], dict[int, _Undefined]()
        for soname in gone:
            with open_view(providers[soname]) as other:
                symbols |= {one.number: one for one in _leaving(view, table, _defined(other))}
        strong = [one for one in symbols.values() if one.info >> 4 == STB_GLOBAL]
        changes += [_weak(one) for one in strong]
        size = view.size
    changes.sort(key=lambda change: change.offset)
    apply(library, tuple(changes), size)
    row = FileChange(
        path=library.name, was=library.name, bytes=size, was_bytes=size, sha256=sha256_of(library), was_sha256=was,
        changes=tuple(changes),
    )  # fmt: skip
    return Record(without=tuple(gone), symbols=tuple(sorted(one.name for one in strong)), file=row)


def _without(view: View, table: Sequence[elf.Section], gone: Iterable[str], name: str) -> Change:
    """Return the dynamic section without the entries that need these; the others move up, zeros fill the end."""
    section = next((row for row in table if row.type == SHT_DYNAMIC), None)
    names = _strings(view, table, section) if section is not None else b""
    missing, kept, before = set(gone), b"", b""
    if section is not None:
        before = read(view, section.offset, section.size // DYNAMIC.size * DYNAMIC.size)
        for tag, value in DYNAMIC.iter_unpack(before):
            needs = _text(names, value) if tag == DT_NEEDED else ""
            if needs in missing:
                missing.discard(needs)
            else:
                kept += DYNAMIC.pack(tag, value)
    if section is None or missing:
        what = f"{name} does not need {', '.join(sorted(missing))}, so nothing can be taken off it."
        raise BuildError(what)
    return difference(before, kept.ljust(len(before), b"\0"), section.offset, "DT_NEEDED")


def _weak(symbol: _Undefined) -> Change:
    after = STB_WEAK << 4 | symbol.info & 0xF
    return Change(symbol.place, bytes([symbol.info]), bytes([after]), "weak symbol")


def _leaving(view: View, table: Sequence[elf.Section], provided: frozenset[str]) -> list[_Undefined]:
    """Return the undefined symbols without a version that a library provides."""
    return [one for one in _undefined(view, table) if one.name in provided]


def _undefined(view: View, table: Sequence[elf.Section]) -> Iterator[_Undefined]:
    versions = _versions(view, table)
    for section, names, rows in _dynamic_symbols(view, table):
        for number, (name, info, _, part, _, _) in enumerate(elf.SYMBOL.iter_unpack(rows)):
            if part != UNDEFINED or info >> 4 == STB_LOCAL or versions.get(number, 0) > UNVERSIONED:
                continue
            place = section.offset + number * elf.SYMBOL.size + INFO
            yield _Undefined(number, _text(names, name), info, place)


def _defined(view: View) -> frozenset[str]:
    """Return the names that a library defines for others."""
    return frozenset(
        _text(names, name)
        for _, names, rows in _dynamic_symbols(view, elf.sections(view))
        for name, info, _, part, _, _ in elf.SYMBOL.iter_unpack(rows)
        if part != UNDEFINED and info >> 4 != STB_LOCAL
    )


def _dynamic_symbols(view: View, table: Sequence[elf.Section]) -> Iterator[tuple[elf.Section, bytes, bytes]]:
    """Yield the table of dynamic symbols: its section, its names, its rows."""
    for section in table:
        if section.type == elf.SHT_DYNSYM:
            rows = read(view, section.offset, section.size // elf.SYMBOL.size * elf.SYMBOL.size)
            yield section, _strings(view, table, section), rows


def _strings(view: View, table: Sequence[elf.Section], section: elf.Section) -> bytes:
    if section.link >= len(table):
        what = f"The section {section.name} has no table of names."
        raise DamagedError(what)
    return read(view, table[section.link].offset, table[section.link].size)


def _text(names: bytes, offset: int) -> str:
    return elf.text_at(names, offset, elf.MAX_SYMBOL_NAME)


def _versions(view: View, table: Sequence[elf.Section]) -> dict[int, int]:
    """Return the index of each dynamic symbol's version, the bit that hides it left out."""
    for section in table:
        if section.type == SHT_VERSYM:
            rows = read(view, section.offset, section.size // INDEX.size * INDEX.size)
            return {number: index & 0x7FFF for number, (index,) in enumerate(INDEX.iter_unpack(rows))}
    return {}


def _versioned(view: View, table: Sequence[elf.Section]) -> set[str]:
    """Return the sonames that versions of symbols are asked from."""
    found = set()
    for section in table:
        if section.type != SHT_VERNEED:
            continue
        names, at = _strings(view, table, section), section.offset
        for _ in range(MAX_NEEDS):
            _, _, file, _, following = NEED.unpack(read(view, at, NEED.size))
            found.add(_text(names, file))
            if not following:
                break
            at += following
    return found


def _only_slots(view: View, header: elf.Header, table: Sequence[elf.Section], symbols: set[int]) -> bool:
    """Tell whether symbols are nothing but the targets of slots that may stay zero."""
    for section in table:
        if section.type == SHT_RELA and section.address:
            rows = read(view, section.offset, section.size // RELA.size * RELA.size)
            for _, info, _ in RELA.iter_unpack(rows):
                if info >> 32 in symbols and info & 0xFFFFFFFF not in SLOTS[header.machine]:
                    return False
    return True
