"""A processor's name as a part of other names: of files, of the entries of an index."""

from __future__ import annotations

import re

from buildtool.codeobj import tensile

INDEX = re.compile(r"(?:^|[/!])(?:Tensile|extop|hipblasltExtOp)[^/!]*\.(?:dat|yaml)$")
CHIP = re.compile(r"(?<![0-9A-Za-z])gfx[0-9a-f]{3,4}(?![0-9A-Za-z])")
# Files that belong to one processor by their names: Tensile's, rocFFT's and MIOpen's.
DATA = (".dat", ".yaml", ".co", ".hsaco", ".kdb", ".db", ".db.txt", ".txt", ".model", ".hipfb")


def pattern(chip: str) -> re.Pattern[str]:
    """Return what finds a processor's name, but not as a part of a longer one."""
    return re.compile(rf"(?<![0-9A-Za-z]){re.escape(chip)}(?![0-9A-Za-z])")


def data_pattern(chip: str) -> re.Pattern[bytes]:
    """Return what finds a processor's name inside a table or a note.

    What stands before it may be the length byte of a string, so only what follows tells a longer name.
    """
    return re.compile(re.escape(chip).encode() + rb"(?![0-9a-z])")


def renamed(name: str, old: str, new: str) -> str:
    """Return a relative path with one processor's name in place of another's."""
    return pattern(old).sub(new, name)


def chips_of(name: str) -> frozenset[str]:
    """Return the processors that a relative path names."""
    return frozenset(CHIP.findall(name))


def is_index(head: bytes, name: str) -> bool:
    """Tell a table of Tensile or of hipBLASLt, by its name and, if it is no text, by its first byte."""
    if INDEX.search(name) is None:
        return False
    return name.endswith(".yaml") or (bool(head) and head[0] in tensile.MAPS)
