"""Code for one AMD processor, given the name of another that runs the same instructions.

Three things name the processor: the machine number in a code object's ``e_flags`` (LLVM, "User Guide for AMDGPU
Backend", section "Header"), the target id in its metadata notes, and the id of its entry in an offload bundle. Each
is replaced by one of the same length, so that nothing else moves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj import amdgpu, bundle, elf, names, pe, repack, rules, scan, tensile
from buildtool.codeobj.manifest import Change, difference
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import BytesView, DamagedError, SubView, View, read

FLAGS = 48  # offset of e_flags in a 64-bit ELF header
FIRST_WITH_TEXT = 3  # code object version: from here on, notes name the target in words
MAX_NOTES = 256 << 20
MAX_IMAGE = 1 << 30
MAX_TABLE = 256 << 20
PLAIN = frozenset({"none", "offload-bundle"})


class Pair(NamedTuple):
    """The processor that code is for, and the one it shall be for."""

    old: str
    new: str


class Edits(NamedTuple):
    """What a file becomes: its changes, its new size, how many images they serve, and what was left alone."""

    changes: tuple[Change, ...]
    size: int
    images: int
    left: tuple[str, ...] = ()


def edits(view: View, name: str, pair: Pair) -> Edits:
    """Return what has to change in a file.

    Args:
        view: its bytes.
        name: its relative path; Tensile's tables are told by it.
        pair: from which processor to which.

    Raises:
        DamagedError: the file contradicts itself.
    """
    head = view.peek(0, scan.HEAD)
    if names.is_index(head, name):
        return _table(view, name, pair)
    kind = scan.file_format(head, name)
    if not kind:
        return Edits((), view.size, 0)
    images = list(scan.images(view, kind, name)[1])
    wanted, left = _wanted(images, pair)
    changes: list[Change] = []
    size = view.size
    for image in wanted:
        if image.container != "ccob":
            changes += _plain(view, image, pair)
    for start, group in _grouped(wanted).items():
        change = _compressed(view, kind, images, group, pair)
        changes.append(change)
        if start + len(change.before) == view.size:
            size += len(change.after) - len(change.before)
    changes.sort(key=lambda change: change.offset)
    return Edits(tuple(changes), size, len(wanted), left)


def count(view: View, name: str, chip: str) -> int:
    """Return how many images of a file are for a processor."""
    kind = scan.file_format(view.peek(0, scan.HEAD), name)
    if not kind or kind == "tensile":
        return 0
    return sum(_chip(image) == chip for image in scan.images(view, kind, name)[1] if image.kind == "hsaco")


def _chip(image: Image) -> str:
    return image.target.split(":")[0]


def _wanted(images: list[Image], pair: Pair) -> tuple[list[Image], tuple[str, ...]]:
    """Choose the images to change; a bundle that has code for the new processor keeps its own."""
    served = {image.container_offset for image in images if image.kind == "hsaco" and _chip(image) == pair.new}
    mine = [image for image in images if image.kind == "hsaco" and _chip(image) == pair.old]
    wanted = [image for image in mine if image.container_offset not in served]
    left = [f"{len(mine) - len(wanted)} bundles hold code for {pair.new} already"] if len(mine) > len(wanted) else []
    possible = [image for image in wanted if image.container in PLAIN or image.container == "ccob"]
    left += sorted({f"code in a {image.container} is not rewritten" for image in wanted if image not in possible})
    return possible, tuple(left)


def _grouped(images: list[Image]) -> dict[int, list[Image]]:
    groups: dict[int, list[Image]] = {}
    for image in images:
        if image.container == "ccob":
            groups.setdefault(image.container_offset, []).append(image)
    return groups


def _plain(view: View, image: Image, pair: Pair) -> Iterator[Change]:
    if image.container == "offload-bundle" and image.entry_offset is not None:
        yield from _id(view, image, pair)
    yield from code_object(SubView(view, image.offset, image.bytes), image.offset, pair)


def _id(view: View, image: Image, pair: Pair) -> Iterator[Change]:
    """Rename the entry of a bundle."""
    start = (image.entry_offset or 0) + bundle.ENTRY.size
    (*_, length) = bundle.ENTRY.unpack(read(view, image.entry_offset or 0, bundle.ENTRY.size))
    yield from _replaced(read(view, start, length), start, pair, "bundle id")


def code_object(view: View, place: int, pair: Pair) -> Iterator[Change]:
    """Rename the processor of the code object that is `view`; changes count from its start plus `place`.

    Raises:
        DamagedError: it is no AMD code object of version 3 or later, or one for another processor.
    """
    header = elf.parse_header(view.peek(0, 64))
    if header.machine != elf.EM_AMDGPU or (header.bits, header.order) != (64, "<"):
        what = f"The entry at {place:#x} is no AMD code object."
        raise DamagedError(what)
    known = amdgpu.machines()
    if known.get(header.flags & 0xFF) != pair.old:
        what = f"The code object at {place:#x} is not for {pair.old}, though its bundle says so."
        raise DamagedError(what)
    if (amdgpu.code_object_version(header) or 0) < FIRST_WITH_TEXT:
        what = f"The code object at {place:#x} is of version 2 or of another ABI than HSA."
        raise DamagedError(what, why="Its notes name the processor in a way that is not rewritten.")
    number = next(value for value, name in known.items() if name == pair.new)
    flags = struct.pack("<I", header.flags & ~0xFF | number)
    yield difference(struct.pack("<I", header.flags), flags, place + FLAGS, "e_flags")
    for offset, size in _notes(view, header):
        yield from _replaced(read(view, offset, size), place + offset, pair, "note", b"--")


def _notes(view: View, header: elf.Header) -> list[tuple[int, int]]:
    """Return where the notes lie: sections, or the segments of an object without sections."""
    table = elf.sections(view, header)
    found = {(row.offset, row.size) for row in table if row.type == elf.SHT_NOTE}
    found |= {(row.offset, row.filesz) for row in elf.segments(view, header) if row.type == elf.PT_NOTE}
    places: list[tuple[int, int]] = []
    for offset, size in sorted(found):
        if size > MAX_NOTES:
            what = f"A code object claims {size} bytes of notes."
            raise DamagedError(what)
        if not places or offset >= sum(places[-1]):
            places.append((offset, size))
    return places


def _replaced(data: bytes, place: int, pair: Pair, what: str, before: bytes = b"") -> Iterator[Change]:
    old, new = pair.old.encode(), pair.new.encode()
    for found in names.data_pattern(pair.old).finditer(data):
        if data.endswith(before, 0, found.start()):
            yield difference(old, new, place + found.start(), what)


def _table(view: View, name: str, pair: Pair) -> Edits:
    if view.size > MAX_TABLE:
        what = f"{name} is a table of {view.size} bytes."
        raise DamagedError(what)
    data = read(view, 0, view.size)
    if names.data_pattern(pair.new).search(data):
        mixed = names.data_pattern(pair.old).search(data)
        return Edits((), view.size, 0, (f"the table names {pair.new} already",) if mixed else ())
    rows = tuple(_rows(data, name, pair))
    taken = {change.offset + at for change in rows for at in range(len(change.after))}
    words = (change for change in _replaced(data, 0, pair, "index") if change.offset not in taken)
    return Edits(tuple(sorted((*rows, *words), key=lambda change: change.offset)), view.size, 0)


def _rows(data: bytes, name: str, pair: Pair) -> Iterator[Change]:
    """Make the rows of a processor's own table those of the new one, also where Tensile does not know its name.

    The table is opened by its file's name, for this processor alone, so a row in it may as well be for all. Turned
    back, such a row names its processor again.
    """
    if names.chips_of(name.rpartition("/")[2]) != {pair.old}:
        return
    old, new = tensile.row_for(pair.old), tensile.row_for(pair.new)
    every = tensile.row_for_all(len(old))
    if every is None:
        return
    fresh = new if rules.tensile_knows(pair.new) else every
    for row in {old, every} - {fresh}:
        start = data.find(row)
        while start >= 0:
            yield Change(start, row, fresh, "index")
            start = data.find(row, start + 1)


def _compressed(view: View, kind: str, images: list[Image], group: list[Image], pair: Pair) -> Change:
    """Unpack a compressed bundle, change it, and compress it into the room it has."""
    start = group[0].container_offset
    stop = start + (group[0].container_bytes or 0)
    inner = bundle.unpacked_view(view, start, stop)
    fresh: list[tuple[int, bytes]] = []
    for image in group:
        fresh += [(change.offset, change.after) for change in _id(inner, image, pair)]
    for image in sorted(group, key=lambda one: one.offset):
        if image.bytes > MAX_IMAGE:
            what = f"An image of the compressed bundle at {start:#x} claims {image.bytes} bytes."
            raise DamagedError(what)
        data = BytesView(read(inner, image.offset, image.bytes))
        fresh += [(change.offset, change.after) for change in code_object(data, image.offset, pair)]
    end = _slot(view, kind, images, start, stop)
    room = None if end is None else end - start
    packed = repack.pack(view, start, lambda: repack.patched(repack.pieces(view, start, stop), fresh), inner.size, room)
    if end is None:
        return Change(start, read(view, start, stop - start), packed, "compressed bundle")
    used = max(stop - start, len(packed))
    return difference(read(view, start, used), packed.ljust(used, b"\0"), start, "compressed bundle")


def _slot(view: View, kind: str, images: list[Image], start: int, stop: int) -> int | None:
    """Return where the room of a compressed bundle ends: zeros up to the next one; None at the end of a bare file."""
    limit = min((image.container_offset for image in images if image.container_offset > start), default=view.size)
    if kind in ("elf", "pe"):
        table = elf.sections(view) if kind == "elf" else pe.sections(view)
        ends = [row.offset + row.size for row in table if row.offset <= start < row.offset + row.size]
        limit = min([limit, *ends])
    elif stop == view.size:
        return None
    gap = view.peek(stop, min(limit - stop, 1 << 20))
    return stop + len(gap) - len(gap.lstrip(b"\0"))
