"""Files that rocBLAS and hipBLASLt choose by name: Tensile's msgpack tables, made for one processor each.

A ``TensileLibrary_…_gfx1030.dat`` holds no code, only which kernel of which code object serves a problem; without
it the code objects beside it are never opened, so it counts as made for its target.
"""

from __future__ import annotations

import re

from buildtool.codeobj.model import Image

NAME = re.compile(r"(?:Tensile|extop).*?_(gfx[0-9a-f]+)", re.DOTALL)
# The first byte of a msgpack map of up to 15 entries (fixmap), or of a longer one.
MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])


def is_table(head: bytes, name: str) -> bool:
    """Tell a Tensile table by its name and first byte."""
    return bool(head) and head[0] in MAPS and _chip(name) is not None


def bare_image(name: str, size: int) -> Image:
    """Describe a Tensile table by its name."""
    return Image(kind="tensile", target=_chip(name) or "", bytes=size, offset=0)


def _chip(name: str) -> str | None:
    """Return the processor that a table's name ends with, None for another name; in one pass, however long it is."""
    own = name[max(name.rfind("/"), name.rfind("!")) + 1 :]
    first = min((at for at in (own.find("Tensile"), own.find("extop")) if at >= 0), default=-1)
    found = NAME.match(own, first) if first >= 0 and own.endswith(".dat") else None
    return found[1] if found else None


def row_for(chip: str) -> bytes:
    """Return the predicate of a row that is for one processor, as Tensile writes it (msgpack)."""
    outer, inner = b"\x82\xa4type\xa6AMDGPU\xa5value", b"\x82\xa4type\xa9Processor\xa5value"
    return outer + inner + bytes([0xA0 | len(chip)]) + chip.encode()


def row_for_all(length: int) -> bytes | None:
    """Return a predicate that is always true, of `length` bytes; None where that cannot be.

    It says ``{"type": "TruePred"}`` three times, the last time with longer heads of its strings, since a table keeps
    its length. A map that names a key again is read as one that names it once.
    """
    text = b"\x83" + b"\xa4type\xa8TruePred" * 2 + b"\xdb\0\0\0\x04type" + b"\xda\0\x08TruePred"
    return text if len(text) == length else None
