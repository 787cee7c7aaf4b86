"""AMDGPU ELF code objects: target, features and generic version from ``e_flags``.

The layout of ``e_flags`` per code object version is that of LLVM's "User Guide for AMDGPU Backend",
section "Header"; the processor numbers are rows of ``amdgpu.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

from buildtool.codeobj import elf
from buildtool.codeobj.model import Image
from buildtool.errors import DataError

OSABI_HSA = 64
CODE_OBJECT_VERSIONS = {0: 2, 1: 3, 2: 4, 3: 5, 4: 6}  # EI_ABIVERSION -> code object version
FIRST_WITH_TRISTATE = 4
FIRST_WITH_GENERIC = 6
TRISTATE = {2: "-", 3: "+"}  # 0 unsupported, 1 any


@functools.cache
def machines() -> dict[int, str]:
    """Return the processor name of every ``EF_AMDGPU_MACH`` number.

    Raises:
        DataError: a row is damaged or has no known source.
    """
    table = tomllib.loads(resources.files(__package__).joinpath("amdgpu.toml").read_text("utf-8"))
    rows: dict[int, str] = {}
    for row in table["mach"]:
        if set(row) != {"value", "name", "source"} or row["source"] not in table["source"] or row["value"] in rows:
            what = f"amdgpu.toml: a wrong row: {row}"
            raise DataError(what)
        rows[row["value"]] = row["name"]
    return rows


def code_object_version(header: elf.Header) -> int | None:
    """Return 2 to 6 for an HSA code object, None for another ABI or an unknown version."""
    return CODE_OBJECT_VERSIONS.get(header.abiversion) if header.osabi == OSABI_HSA else None


def target_of(header: elf.Header) -> str:
    """Return the target id in canonical order (``gfx90a:sramecc+:xnack-``), "" for an unknown processor.

    A feature that the code does not care about ("any") is left out, as LLVM does.
    """
    name = machines().get(header.flags & 0xFF)
    if name is None:
        return ""
    if (code_object_version(header) or FIRST_WITH_TRISTATE) >= FIRST_WITH_TRISTATE:
        xnack, sramecc = TRISTATE.get(header.flags >> 8 & 3, ""), TRISTATE.get(header.flags >> 10 & 3, "")
    else:
        xnack, sramecc = "+" if header.flags & 0x100 else "", "+" if header.flags & 0x200 else ""
    return name + (f":sramecc{sramecc}" if sramecc else "") + (f":xnack{xnack}" if xnack else "")


def generic_version(header: elf.Header) -> int | None:
    """Return the version of a generic target's code object (bits 24-31), None for a plain one."""
    if (code_object_version(header) or 0) < FIRST_WITH_GENERIC:
        return None
    return header.flags >> 24 & 0xFF or None


def bare_image(header: elf.Header, size: int) -> Image:
    """Describe a file that is itself a code object."""
    return Image(
        kind="hsaco",
        target=target_of(header),
        bytes=size,
        offset=0,
        code_object_version=code_object_version(header),
        generic_version=generic_version(header),
    )
