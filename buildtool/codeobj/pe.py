"""A minimal, bounded reader of PE and COFF section tables (Windows DLLs, executables, object files)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from buildtool.codeobj.view import DamagedError, View, read, refuse_shared, unpack

MAX_STRINGS = 64 << 20
MACHINES = {0x8664: "x86-64", 0xAA64: "arm64", 0x14C: "i386"}
FILE_HEADER = struct.Struct("<HHIIIHH")
SECTION = struct.Struct("<8sIIIIIIHHI")
SYMBOL_BYTES = 18


class Section(NamedTuple):
    """A section's name and the place of its bytes in the file."""

    name: str
    offset: int
    size: int


def is_coff_object(head: bytes) -> bool:
    """Tell whether `head` can start a COFF object: known machine, no optional header, sane section count."""
    if len(head) < FILE_HEADER.size:
        return False
    machine, count, _, symbols, _, optional, _ = FILE_HEADER.unpack_from(head)
    return machine in MACHINES and optional == 0 and 0 < count < 1 << 15 and symbols >= FILE_HEADER.size


def sections(view: View) -> list[Section]:
    """Return the sections of a PE image.

    Raises:
        DamagedError: the headers contradict themselves.
    """
    (header,) = struct.unpack("<I", read(view, 0x3C, 4))
    if view.peek(header, 4) != b"PE\0\0":
        what = "The file starts like a Windows binary but has no PE header."
        raise DamagedError(what)
    return coff_sections(view, header + 4)


def coff_sections(view: View, start: int = 0) -> list[Section]:
    """Return the sections of the COFF header at `start`; long names come from its string table.

    Raises:
        DamagedError: the table does not lie in the file, or its sections share their bytes.
    """
    _, count, _, symbols, symbol_count, optional, _ = unpack(view, start, FILE_HEADER)
    table = read(view, start + FILE_HEADER.size + optional, count * SECTION.size)
    strings = _strings(view, symbols + symbol_count * SYMBOL_BYTES) if symbols else b""
    found = []
    for index in range(count):
        raw, virtual, _, size, offset, *_ = SECTION.unpack_from(table, index * SECTION.size)
        name = raw.rstrip(b"\0")
        if name.startswith(b"/") and name[1:].isdigit() and int(name[1:]) < len(strings):
            name = strings[int(name[1:]) :].split(b"\0", 1)[0]
        used = min(virtual, size) if virtual else size
        found.append(Section(name.decode("utf-8", "replace"), offset, used))
    refuse_shared(view, ((row.offset, row.size) for row in found if row.offset))  # an object's .bss has none
    return found


def _strings(view: View, offset: int) -> bytes:
    length = view.peek(offset, 4)
    if len(length) < 4:  # noqa: PLR2004 - a u32
        return b""
    return view.peek(offset, min(struct.unpack("<I", length)[0], MAX_STRINGS))
