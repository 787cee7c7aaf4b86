"""Two wheels side by side: are they the same, and if not, where is the first difference?

A small diffoscope: files of the archives in their order, then the offset, the ELF section or the line of text.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Literal

import msgspec

from buildtool.codeobj import elf
from buildtool.codeobj.view import DamagedError, StreamView, View
from buildtool.store.digest import sha256_of
from buildtool.wheel.opening import damage_told, opened

CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 16
SHOWN_CHARACTERS = 160
LARGEST_TEXT = 16 << 20  # bytes; a larger one is shown as bytes are
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
        sha256 = (sha256_of(first), sha256_of(second))
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
    if name.endswith(TEXT_ENDINGS) and max(sizes) <= LARGEST_TEXT:
        line, texts = _lines(one.read(name), two.read(name))
        return Difference(
            file=name, kind="content", offset=offset, line=line, first=texts[0], second=texts[1], sizes=sizes
        )
    with ExitStack() as stack:
        shown = [_view(stack, *each).peek(offset, SHOWN_BYTES).hex(" ") for each in ((one, a), (two, b))]
        section = section_at(_view(stack, one, a), offset)
    return Difference(
        file=name, kind="content", offset=offset, section=section, first=shown[0], second=shown[1], sizes=sizes
    )


def _view(stack: ExitStack, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> View:
    """Return a file of a wheel, read where it is looked at; never all of it at once."""
    return StreamView(lambda: stack.enter_context(archive.open(info)), info.file_size)


def _lines(one: bytes, two: bytes) -> tuple[int, tuple[str, str]]:
    rows = [data.decode("utf-8", "replace").splitlines() for data in (one, two)]
    longest = max(map(len, rows))
    padded = [row + [""] * (longest - len(row)) for row in rows]
    number = next((n for n, pair in enumerate(zip(*padded, strict=True)) if pair[0] != pair[1]), 0)
    return number + 1, (padded[0][number][:SHOWN_CHARACTERS], padded[1][number][:SHOWN_CHARACTERS])


def section_at(binary: View, offset: int) -> str:
    """Return the name of the ELF section that holds a file offset; "" outside of any, or when it is no ELF file."""
    if binary.peek(0, len(elf.MAGIC)) != elf.MAGIC:
        return ""
    try:
        rows = [row for row in elf.sections(binary) if row.type not in {elf.SHT_NULL, elf.SHT_NOBITS}]
    except DamagedError:
        return ""
    return next((row.name for row in rows if row.offset <= offset < row.offset + row.size), "")


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
    with ExitStack() as stack:
        streams = []
        for archive in (one, two):
            with _blaming(archive):
                streams.append((archive, stack.enter_context(archive.open(name))))
        while True:
            pieces = []
            for archive, stream in streams:
                with _blaming(archive):
                    pieces.append(stream.read(CHUNK_BYTES))
            if not any(pieces):
                return
            yield pieces[0], pieces[1]


def _blaming(archive: zipfile.ZipFile) -> AbstractContextManager[None]:
    """Say of this wheel, and not of the other, that it is damaged."""
    return damage_told(Path(str(archive.filename)))


def _info(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo | None:
    try:
        return archive.getinfo(name)
    except KeyError:
        return None
