"""What becomes of one file when only some targets' device code stays."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from buildtool.codeobj import blocks, bundle, compact, cut_elf, cut_pe, elf, names, output, repack, scan
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.model import Image
from buildtool.codeobj.output import Copy, Output
from buildtool.codeobj.view import DamagedError, View, read

SHRINKING = frozenset({"fatbin", "offload-bundle", "ccob"})  # containers, and files that are nothing else
HOST = frozenset({"elf", "pe"})
LITTLE = (64, "<")
ET_REL = 1

Maker = Callable[[View, list[Image]], blocks.Block]


class FilePlan(NamedTuple):
    """What becomes of one file: `output` is None for one that is left out.

    Attributes:
        output: the new file.
        found: targets it holds.
        kept: images that stay.
        note: what is special about it, for people.
    """

    output: Output | None
    found: frozenset[str]
    kept: int
    note: str = ""


def planned(view: View, name: str, keep: Keep | None, *, single: bool) -> FilePlan:
    """Return what becomes of one file.

    Args:
        view: its bytes.
        name: its relative name.
        keep: which device code to keep; None for all of it.
        single: it is all there is, and is never left out.

    Raises:
        DamagedError: it contradicts itself.
    """
    head = view.peek(0, scan.HEAD)
    whole = output.whole(view.size)
    kind = scan.file_format(head, name)
    if not kind:
        gone = keep is not None and not single and keep.drops_by_name(name)
        return FilePlan(None if gone else whole, names.chips_of(name) if gone else frozenset(), 0)
    kind, found = scan.images(view, kind, name)
    images = list(found)
    targets = frozenset(image.target for image in images if image.target)
    if keep is None or not images:
        return FilePlan(whole, targets, len(images))
    if not keep.serves(images):
        return FilePlan(None if _of_a_target(kind) and not single else whole, targets, 0)
    if kind in HOST or kind in SHRINKING:
        return (_host if kind in HOST else _bare)(view, kind, images, functools.partial(_thinned, keep), targets)
    kept = len(keep.choose(images))
    return FilePlan(whole, targets, kept, f"a {kind} is kept whole" if kept < len(images) else "")


def _of_a_target(kind: str) -> bool:
    """Tell whether files of this format are device code and nothing else."""
    return kind not in HOST and kind not in {"coff", "kpack", "spirv"}


def _thinned(keep: Keep, view: View, group: list[Image]) -> blocks.Block:
    return blocks.thinned(view, group, keep)


def packed(view: View, name: str) -> FilePlan:
    """Return what becomes of one file when its plain AMD device code is compressed.

    Raises:
        DamagedError: it contradicts itself.
    """
    kind = scan.file_format(view.peek(0, scan.HEAD), name)
    if not kind:
        return FilePlan(output.whole(view.size), frozenset(), 0)
    kind, found = scan.images(view, kind, name)
    images = list(found)
    targets = frozenset(image.target for image in images if image.target)
    if kind == "hsaco" and targets:  # without a name, no loader would find it in a bundle
        return FilePlan(_wrapped(view, images[0]), targets, len(images))
    if kind in HOST and any(image.container == "offload-bundle" for image in images):
        return _host(view, kind, images, blocks.packed, targets)
    if kind == "offload-bundle":
        return _bare(view, kind, images, blocks.packed, targets)
    return FilePlan(output.whole(view.size), targets, 0)


def _wrapped(view: View, image: Image) -> Output:
    """Return a bare code object as the one entry of a compressed bundle."""
    head = bundle.around(image.target, view.size)

    def contents() -> Iterator[bytes]:
        yield head
        for done in range(0, view.size, repack.PIECE):
            yield read(view, done, min(repack.PIECE, view.size - done))

    data = repack.fresh(contents, len(head) + view.size)
    return Output(len(data), (), (output.Put(0, data),)) if len(data) < view.size else output.whole(view.size)


def _bare(view: View, _kind: str, images: list[Image], make: Maker, targets: frozenset[str]) -> FilePlan:
    made = [make(view, group) for group in blocks.containers(images).values()]
    kept = sum(block.images for block in made)
    if not compact.only_padding(view, 0, view.size, made):
        return FilePlan(_with_holes(view.size, made), targets, kept, f"holes only: {compact.OTHER_DATA}")
    copies: list[Copy] = []
    puts: list[output.Put] = []
    position = 0
    for block in made:
        position += -position % blocks.alignment(block.start, unit=block.unit)
        copies += [Copy(position + copy.at, copy.source, copy.size) for copy in block.copies]
        puts += [output.Put(position + put.at, put.data) for put in block.puts]
        position += block.new_size
    return FilePlan(output.checked(Output(position, tuple(copies), tuple(puts)), view.size), targets, kept)


def _host(view: View, kind: str, images: list[Image], make: Maker, targets: frozenset[str]) -> FilePlan:
    shrinking = [image for image in images if image.container in SHRINKING]
    made = {start: make(view, group) for start, group in blocks.containers(shrinking).items()}
    kept = sum(block.images for block in made.values()) + len(images) - len(shrinking)
    sections, loose, why = _sections(view, kind, shrinking, made)
    freed = sum(block.size - block.new_size for block in made.values())
    if not freed:
        return FilePlan(output.whole(view.size), targets, kept)
    if loose:
        return FilePlan(_with_holes(view.size, list(made.values())), targets, kept, f"holes only: {why}")
    try:
        if kind == "elf":
            result, layouts = cut_elf.cut(view, elf.parse_header(view.peek(0, 64)), sections)
        else:
            result, layouts = cut_pe.cut(view, sections)
    except struct.error as error:  # an address that has no room where it is to be written
        what = "The file's tables contradict each other."
        raise DamagedError(what, why=str(error)) from error
    still = [f"holes only in {layout.section.name}: {layout.why}" for layout in layouts if _only_holes(layout)]
    if not still and view.size - result.size < freed // 2:
        still = ["holes only: the file's layout leaves no way to shorten it"]
    return FilePlan(output.checked(result, view.size), targets, kept, "; ".join(still))


def _only_holes(layout: compact.Layout) -> bool:
    """Tell whether containers shrank and had to keep their places."""
    return not layout.moved and any(block.new_size < block.size for block in layout.section.blocks)


def _sections(
    view: View, kind: str, images: list[Image], made: dict[int, blocks.Block]
) -> tuple[list[compact.Section], bool, str]:
    """Return the sections with containers, or why the file cannot be cut at all."""
    if any(image.section is None for image in images):
        return [], True, "the device code lies in plain data, not in a section of its own"
    rows: list[tuple[str, int, int, int]]
    if kind == "elf":
        header = elf.parse_header(view.peek(0, 64))
        if (header.bits, header.order) != LITTLE or header.type == ET_REL:
            return [], True, "only linked 64-bit little-endian files are cut"
        rows = [
            (row.name, row.offset, row.size, row.address)
            for row in elf.sections(view, header)
            if row.type != elf.SHT_NOBITS
        ]
    else:
        rows = [(row.name, row.raw, row.raw_size, row.address) for row in cut_pe.parse(view)[1]]
    sections: list[compact.Section] = []
    with_code = {image.section for image in images}
    for name, offset, size, address in sorted((row for row in rows if row[0] in with_code), key=lambda row: row[1]):
        inside = tuple(block for start, block in sorted(made.items()) if offset <= start < offset + size)
        if inside and offset + size > view.size:
            what = f"The section {name} claims {size} bytes at {offset:#x} of {view.size:#x}."
            raise DamagedError(what)
        if inside and (not sections or sections[-1].offset + sections[-1].size <= offset):
            sections.append(compact.Section(name, offset, size, address, inside))
    return sections, False, ""


def _with_holes(size: int, made: list[blocks.Block]) -> Output:
    """Return a file of the same length whose containers shrank where they are."""
    copies: list[Copy] = []
    puts: list[output.Put] = []
    position = 0
    for block in sorted(made):
        copies.append(Copy(position, position, max(0, block.start - position)))
        copies += [Copy(block.start + copy.at, copy.source, copy.size) for copy in block.copies]
        puts += [output.Put(block.start + put.at, put.data) for put in block.puts]
        position = max(position, block.start + block.size)
    copies.append(Copy(position, position, max(0, size - position)))
    return output.checked(Output(size, tuple(copy for copy in copies if copy.size), tuple(puts)), size)
