"""Containers of device code, made smaller: which of their bytes stay, and at which place of the new container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from buildtool.codeobj import bundle, fatbin, repack
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.model import Image
from buildtool.codeobj.output import Copy, Put
from buildtool.codeobj.view import DamagedError, View, read

PAGE = 4096
FATBIN_UNIT = 16
PACKED_UNIT = 16  # a compressed bundle is unpacked before anything in it is used
MAX_KEPT = 4 << 30


class Block(NamedTuple):
    """A container: where it is, and what it becomes, counted from its own start.

    Attributes:
        start: offset in the file.
        size: bytes it takes there.
        new_size: bytes it takes afterwards.
        copies: ranges of the file that stay; `at` counts from the new start.
        puts: fresh bytes, over them.
        unit: the largest alignment of its start that matters.
        images: how many images stay.
    """

    start: int
    size: int
    new_size: int
    copies: tuple[Copy, ...]
    puts: tuple[Put, ...]
    unit: int
    images: int


def unchanged(start: int, size: int, images: int, unit: int = PAGE) -> Block:
    """Return a container that stays as it is."""
    return Block(start, size, size, (Copy(0, start, size),), (), unit, images)


def containers(images: list[Image]) -> dict[int, list[Image]]:
    """Group images by the container that holds them, in file order."""
    groups: dict[int, list[Image]] = {}
    for image in sorted(images, key=lambda one: one.container_offset):
        groups.setdefault(image.container_offset, []).append(image)
    return groups


def thinned(view: View, images: list[Image], keep: Keep) -> Block:
    """Return what the container of `images` (all of one) becomes when only what `keep` chooses stays.

    Raises:
        DamagedError: the container contradicts itself.
    """
    first = images[0]
    start, size = first.container_offset, first.container_bytes or 0
    kept = keep.choose(images)
    if not kept and first.container == "fatbin":  # an empty one would be refused instead of not fitting
        kept = [min(images, key=lambda image: image.bytes)]
    if len(kept) == len(images):
        return unchanged(start, size, len(images), FATBIN_UNIT if first.container == "fatbin" else PAGE)
    makers = {"fatbin": _fatbin, "offload-bundle": _bundle, "ccob": _ccob}
    maker = makers.get(first.container)
    return unchanged(start, size, len(images)) if maker is None else maker(view, start, size, kept)


def packed(view: View, images: list[Image]) -> Block:
    """Return what a plain offload bundle becomes when it is compressed; any other container stays as it is.

    Raises:
        DamagedError: it is too large for the compressed form.
    """
    first = images[0]
    start, size = first.container_offset, first.container_bytes or 0
    if first.container != "offload-bundle":
        return unchanged(start, size, len(images))

    def contents() -> Iterator[bytes]:
        for done in range(0, size, repack.PIECE):
            yield read(view, start + done, min(repack.PIECE, size - done))

    data = repack.fresh(contents, size)
    if len(data) >= size:
        return unchanged(start, size, len(images))
    return Block(start, size, len(data), (), (Put(0, data),), PACKED_UNIT, len(images))


def alignment(*places: int, unit: int = PAGE) -> int:
    """Return the largest power of two, up to `unit`, that divides every place."""
    joined = unit
    for place in places:
        joined |= place
    return joined & -joined


def _fatbin(view: View, start: int, size: int, kept: list[Image]) -> Block:
    magic, version, header, _ = fatbin.HEADER.unpack(read(view, start, fatbin.HEADER.size))
    copies, at = [Copy(0, start, header)], header
    for image in kept:
        entry = image.entry_offset or 0
        fields = fatbin.ENTRY.unpack(read(view, entry, fatbin.ENTRY.size))
        length = fields[2] + fields[3]
        copies.append(Copy(at, entry, length))
        at += length
    head = Put(0, fatbin.HEADER.pack(magic, version, header, at - header))
    return Block(start, size, at, tuple(copies), (head,), FATBIN_UNIT, len(kept))


class _Row(NamedTuple):
    """An entry of the new bundle: its place and size, the old offset, and its id."""

    at: int
    size: int
    source: int
    name: bytes


def _rows(view: View, start: int, kept: list[Image]) -> tuple[bytes, list[_Row]]:
    """Return the directory of the smaller bundle and its entries; `start` is where the old bundle starts in `view`."""
    stay = {image.entry_offset for image in kept}
    old = bundle.directory(view, start)
    old = [row for row in old if row[3] + start in stay or row[2].startswith("host-")]
    raw = [bundle.entry_id(view, start + record) for *_, record in old]
    align = alignment(*(offset for offset, size, *_ in old if size))
    head = len(bundle.MAGIC) + bundle.COUNT.size + sum(bundle.ENTRY.size + len(name) for name in raw)
    places, position = {}, head
    for number in sorted(range(len(old)), key=lambda number: old[number][0]):
        places[number] = position + -position % align
        position = places[number] + old[number][1] if old[number][1] else position
    rows = [
        _Row(places[number], size, start + offset, name)
        for number, ((offset, size, *_), name) in enumerate(zip(old, raw, strict=True))
    ]
    directory = bundle.MAGIC + bundle.COUNT.pack(len(rows))
    directory += b"".join(bundle.ENTRY.pack(row.at, row.size, len(row.name)) + row.name for row in rows)
    return directory, rows


def _bundle(view: View, start: int, size: int, kept: list[Image]) -> Block:
    directory, rows = _rows(view, start, kept)
    copies = tuple(Copy(row.at, row.source, row.size) for row in rows if row.size)
    end = max([len(directory), *(copy.at + copy.size for copy in copies)])
    if end > size:  # entries that overlap each other, made by nobody's compiler
        return unchanged(start, size, len(kept))
    return Block(start, size, end, copies, (Put(0, directory),), PAGE, len(kept))


def _ccob(view: View, start: int, size: int, kept: list[Image]) -> Block:
    inner = bundle.unpacked_view(view, start, start + size)
    directory, rows = _rows(inner, 0, kept)
    end = max([len(directory), *(row.at + row.size for row in rows)])
    if end > min(inner.size, MAX_KEPT):
        what = f"The compressed bundle at {start:#x} has entries that overlap each other."
        raise DamagedError(what)

    def contents() -> Iterator[bytes]:
        again = bundle.unpacked_view(view, start, start + size)
        yield directory
        position = len(directory)
        for row in sorted((row for row in rows if row.size), key=lambda one: one.source):
            yield bytes(row.at - position)
            for done in range(0, row.size, repack.PIECE):
                yield read(again, row.source + done, min(repack.PIECE, row.size - done))
            position = row.at + row.size
        yield bytes(end - position)

    packed = repack.pack(view, start, contents, end, None)
    if len(packed) >= size:
        return unchanged(start, size, len(kept))
    return Block(start, size, len(packed), (), (Put(0, packed),), PAGE, len(kept))
