"""Two wheels side by side: are they the same, and if not, where is the first difference?

A small diffoscope: files of the archives in their order, then the offset, the ELF section or the line of text.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from buildtool.wheel.reading import opened

CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 16
SHOWN_CHARACTERS = 160
TEXT_ENDINGS = (".py", ".txt", ".md", ".json", ".lock", "/METADATA", "/WHEEL", "/RECORD", "/LICENSE")


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that is not the same in both wheels.

    Attributes:
        file: its name in the wheels.
        kind: ``content``; ``missing`` (only the first wheel has it); ``added`` (only the second); ``mode``.
        offset: of the first byte that differs, None unless the content does.
        section: the ELF section it lies in; "" where there is none.
        line: number of the first line that differs, for text; 0 otherwise.
        first, second: what is there in each wheel: bytes as hex, the line, or the mode.
        sizes: of the file in each wheel, in bytes; -1 where it is missing.
    """

    file: str
    kind: Literal["content", "missing", "added", "mode"]
    offset: int | None = None
    section: str = ""
    line: int = 0
    first: str = ""
    second: str = ""
    sizes: tuple[int, int] = (-1, -1)


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result for two wheels.

    Attributes:
        same: whether the two files are equal, byte for byte.
        sha256: of both files.
        differing: names of all files that differ, those of ``.dist-info`` last.
        first: the first of them, in detail.
    """

    same: bool
    sha256: tuple[str, str]
    differing: tuple[str, ...] = ()
    first: Difference | None = None


def compare(first: Path, second: Path) -> Comparison:
    """Compare two wheels.

    Raises:
        InvalidInputError: one of them is no wheel.
        IntegrityError: one of them is damaged.
    """
    with opened(first) as (one, _), opened(second) as (two, _):
        sha256 = (_sha256(first), _sha256(second))
        if sha256[0] == sha256[1]:
            return Comparison(same=True, sha256=sha256)
        names = list(dict.fromkeys([*one.namelist(), *two.namelist()]))
        names.sort(key=lambda name: (".dist-info/" in name, name))
        differing = [name for name in names if not _equal(one, two, name)]
        detail = _difference(one, two, differing[0]) if differing else None
    return Comparison(same=False, sha256=sha256, differing=tuple(differing), first=detail)


def _equal(one: zipfile.ZipFile, two: zipfile.ZipFile, name: str) -> bool:
    a, b = _info(one, name), _info(two, name)
    if a is None or b is None or a.external_attr != b.external_attr:
        return False
    return (a.CRC, a.file_size) == (b.CRC, b.file_size) and _first_offset(one, two, name) is None


def _difference(one: zipfile.ZipFile, two: zipfile.ZipFile, name: str) -> Difference:
    a, b = _info(one, name), _info(two, name)
    sizes = (a.file_size if a is not None else -1, b.file_size if b is not None else -1)
    if a is None or b is None:
        return Difference(file=name, kind="added" if a is None else "missing", sizes=sizes)
    offset = _first_offset(one, two, name)
    if offset is None:
        modes = tuple(f"{info.external_attr >> 16:o}" for info in (a, b))
        return Difference(file=name, kind="mode", first=modes[0], second=modes[1], sizes=sizes)
    contents = one.read(name), two.read(name)
    if name.endswith(TEXT_ENDINGS):
        line, texts = _lines(*contents)
        return Difference(
            file=name, kind="content", offset=offset, line=line, first=texts[0], second=texts[1], sizes=sizes
        )
    shown = [data[offset : offset + SHOWN_BYTES].hex(" ") for data in contents]
    section = section_at(contents[0], offset)
    return Difference(
        file=name, kind="content", offset=offset, section=section, first=shown[0], second=shown[1], sizes=sizes
    )


def _lines(one: bytes, two: bytes) -> tuple[int, tuple[str, str]]:
    rows = [data.decode("utf-8", "replace").splitlines() for data in (one, two)]
    longest = max(map(len, rows))
    padded = [row + [""] * (longest - len(row)) for row in rows]
    number = next((n for n, pair in enumerate(zip(*padded, strict=True)) if pair[0] != pair[1]), 0)
    return number + 1, (padded[0][number][:SHOWN_CHARACTERS], padded[1][number][:SHOWN_CHARACTERS])


def section_at(binary: bytes, offset: int) -> str:
    """Return the name of the ELF section that holds a file offset; "" outside of any, or when it is no ELF file."""
    if not binary.startswith(b"\x7fELF"):
        return ""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        for section in ELFFile(io.BytesIO(binary)).iter_sections():
            begin, size = section["sh_offset"], section["sh_size"]
            if section["sh_type"] not in {"SHT_NOBITS", "SHT_NULL"} and begin <= offset < begin + size:
                return str(section.name)
    except (ELFError, ValueError, KeyError):
        return ""
    return ""


def _first_offset(one: zipfile.ZipFile, two: zipfile.ZipFile, name: str) -> int | None:
    """Return where the contents part; the end of the shorter one when it is the beginning of the other."""
    position = 0
    for a, b in _chunks(one, two, name):
        if a != b:
            same = next(
                (n for n, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), min(len(a), len(b))
            )
            return position + same
        position += len(a)
    return None


def _chunks(one: zipfile.ZipFile, two: zipfile.ZipFile, name: str) -> Iterator[tuple[bytes, bytes]]:
    with one.open(name) as first, two.open(name) as second:
        while True:
            pair = first.read(CHUNK_BYTES), second.read(CHUNK_BYTES)
            if not pair[0] and not pair[1]:
                return
            yield pair


def _info(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo | None:
    try:
        return archive.getinfo(name)
    except KeyError:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
