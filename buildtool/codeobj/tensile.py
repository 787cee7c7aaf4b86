"""Files that rocBLAS and hipBLASLt choose by name: Tensile's msgpack tables, made for one processor each.

A ``TensileLibrary_…_gfx1030.dat`` holds no code, only which kernel of which code object serves a problem; without
it the code objects beside it are never opened, so it counts as made for its target.
"""

from __future__ import annotations

import re

from buildtool.codeobj.model import Image

NAME = re.compile(r"(?:Tensile|extop)[^/!]*?_(gfx[0-9a-f]+)[^/!]*\.dat$")
# The first byte of a msgpack map of up to 15 entries (fixmap), or of a longer one.
MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])


def is_table(head: bytes, name: str) -> bool:
    """Tell a Tensile table by its name and first byte."""
    return bool(head) and head[0] in MAPS and NAME.search(name) is not None


def bare_image(name: str, size: int) -> Image:
    """Describe a Tensile table by its name."""
    found = NAME.search(name)
    return Image(kind="tensile", target=found[1] if found else "", bytes=size, offset=0)
