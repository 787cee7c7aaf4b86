"""Bare NVIDIA ELF code (``.cubin``): the target from its header and from the note the assembler leaves."""

from __future__ import annotations

import re

from buildtool.codeobj import elf
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import View, read

ABI_WIDE_SM = 8  # since CUDA 13: the sm number moved from bits 0-7 of e_flags to bits 8-15
FLAG_ACCELERATED_OLD = 0x800
MAX_NOTE = 1 << 20


def target_of(header: elf.Header, note: bytes = b"") -> str:
    """Return ``sm_<n>[a|f]`` of a cubin.

    CUDA 13's ptxas leaves the suffix out of ``e_flags``; its ``.note.nv.tkinfo`` repeats the command line.

    Args:
        header: the cubin's ELF header.
        note: contents of ``.note.nv.tkinfo``, if any.
    """
    number = header.flags >> 8 & 0xFF if header.abiversion >= ABI_WIDE_SM else header.flags & 0xFF
    named = re.search(rb"-arch[ =]+sm_(\d+)([af]?)", note)
    if named and int(named[1]) == number:
        return f"sm_{number}{named[2].decode()}"
    old = header.abiversion < ABI_WIDE_SM and header.flags & FLAG_ACCELERATED_OLD
    return f"sm_{number}{'a' if old else ''}"


def toolkit_of(note: bytes) -> str | None:
    """Return the CUDA release (``13.0``) named in ``.note.nv.tkinfo``."""
    found = re.search(rb"release (\d+\.\d+)", note)
    return found[1].decode() if found else None


def bare_image(view: View, header: elf.Header) -> Image:
    """Describe a file that is itself a cubin."""
    note = b""
    for section in elf.sections(view, header):
        if section.name == ".note.nv.tkinfo":
            note = read(view, section.offset, min(section.size, MAX_NOTE))
    return Image(kind="cubin", target=target_of(header, note), bytes=view.size, offset=0, toolkit=toolkit_of(note))
