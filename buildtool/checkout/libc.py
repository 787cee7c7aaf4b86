"""Which C library a build needs where it runs: read from the versions of symbols that its ELF files ask for."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from buildtool.codeobj import elf
from buildtool.codeobj.view import DamagedError, View, open_view, read

SHT_VERNEED = 0x6FFFFFFE
NEED, VERSION = struct.Struct("<HHIII"), struct.Struct("<IHHII")
GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
MOST = 1 << 12  # more files, or versions of one, no library asks for


def newest_glibc(folder: Path) -> str:
    """Return the newest glibc that a file below `folder` needs (``2.43``), "" where none needs one.

    Raises:
        StorageError: a file cannot be read.
    """
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    found = [GLIBC.fullmatch(name) for path in files for name in _versions(path)]
    newest = max(((int(one[1]), int(one[2])) for one in found if one is not None), default=None)
    return f"{newest[0]}.{newest[1]}" if newest is not None else ""


def _versions(path: Path) -> list[str]:
    """Return the names of versions that a 64-bit little-endian file asks for; none of any other file."""
    with open_view(path) as view:
        if view.peek(0, 6) != elf.MAGIC + b"\2\1":
            return []
        try:
            return list(_asked(view, elf.sections(view)))
        except DamagedError:
            return []


def _asked(view: View, table: list[elf.Section]) -> Iterator[str]:
    for section in table:
        if section.type != SHT_VERNEED or section.link >= len(table):
            continue
        names, at = read(view, table[section.link].offset, table[section.link].size), section.offset
        for _ in range(MOST):
            _, count, _, first, following = NEED.unpack(read(view, at, NEED.size))
            place = at + first
            for _ in range(min(count, MOST)):
                _, _, _, name, behind = VERSION.unpack(read(view, place, VERSION.size))
                yield elf.text_at(names, name, elf.MAX_SYMBOL_NAME)
                place += behind
            if not following:
                break
            at += following
