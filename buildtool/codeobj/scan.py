"""What one file holds: told by its first bytes, then read by the format's own module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from buildtool.codeobj import amdgpu, bundle, cubin, elf, fatbin, kpack, offload, pe, search, spirv, tensile
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import View

HEAD = 512
# Section names: nvcc's and clang's on Linux; PE keeps eight characters of them. cuBLASLt 13 has fat binaries for
# Blackwell in a section of its own, which cuobjdump does not list.
FATBIN_SECTIONS = frozenset(
    {".nv_fatbin", "__nv_relfatbin", ".nv_fatb", "__nv_rel", ".nv_relfatbin", ".cask_resource", ".cask_re"}
)
BUNDLE_SECTIONS = frozenset({".hip_fatbin", ".hip_fat", ".hip_fatbin_", "__hip_fatbin"})

MAGICS = {
    elf.MAGIC: "elf",
    b"MZ": "pe",
    fatbin.MAGIC_BYTES: "fatbin",
    bundle.MAGIC: "offload-bundle",
    bundle.CCOB_MAGIC: "ccob",
    offload.MAGIC: "offload-binary",
    kpack.MAGIC: "kpack",
    spirv.NEEDLE: "spirv",
}

OFFLOAD_SECTIONS = frozenset({".llvm.offloading", ".llvm.of"})

Walker = Callable[[View, int, int], Iterator[Image]]


def file_format(head: bytes, name: str = "") -> str:
    """Name the format of a file by its first bytes, "" when it is none that can hold device code.

    Args:
        head: the first `HEAD` bytes.
        name: the file's name; COFF objects and Tensile tables, which have no magic, are told by it as well.
    """
    for magic, kind in MAGICS.items():
        if head.startswith(magic):
            return kind
    if tensile.is_table(head, name):
        return "tensile"
    if name.lower().endswith((".obj", ".o")) and pe.is_coff_object(head):
        return "coff"
    return ""


def images(view: View, kind: str, name: str = "") -> tuple[str, Iterator[Image]]:
    """Return the format, refined (``elf`` may turn out to be ``cubin`` or ``hsaco``), and its images.

    Raises:
        DamagedError: while iterating, where the bytes contradict themselves.
    """
    if kind == "elf":
        header = elf.parse_header(view.peek(0, 64))
        if header.machine == elf.EM_CUDA:
            return "cubin", iter([cubin.bare_image(view, header)])
        if header.machine == elf.EM_AMDGPU:
            return "hsaco", iter([amdgpu.bare_image(header, view.size)])
        return "elf", _host_elf(view, header)
    return kind, _READERS[kind](view, name)


def _in_section(found: Iterator[Image], name: str) -> Iterator[Image]:
    return (msgspec.structs.replace(image, section=name) for image in found)


def _walker(section: str) -> Walker | None:
    if section in FATBIN_SECTIONS:
        return fatbin.images
    if section in BUNDLE_SECTIONS:
        return bundle.images
    return offload.images if section in OFFLOAD_SECTIONS else None


def _host_elf(view: View, header: elf.Header) -> Iterator[Image]:
    known = False
    for section in sorted(elf.sections(view, header), key=lambda item: item.offset):
        walker = _walker(section.name)
        if walker is not None and section.type != elf.SHT_NOBITS:
            known = True
            found = walker(view, section.offset, min(section.offset + section.size, view.size))
            yield from _in_section(found, section.name)
    if not known:
        yield from search.images(view)


def _windows(view: View, table: list[pe.Section]) -> Iterator[Image]:
    known = False
    for section in sorted(table, key=lambda item: item.offset):
        walker = _walker(section.name.split("$", 1)[0])
        if walker is not None and section.size:
            known = True
            found = walker(view, section.offset, min(section.offset + section.size, view.size))
            yield from _in_section(found, section.name)
    if not known:
        yield from search.images(view)


_READERS: dict[str, Callable[[View, str], Iterator[Image]]] = {
    "pe": lambda view, _: _windows(view, pe.sections(view)),
    "coff": lambda view, _: _windows(view, pe.coff_sections(view)),
    "fatbin": lambda view, _: fatbin.images(view, 0, view.size),
    "offload-bundle": lambda view, _: bundle.images(view, 0, view.size),
    "ccob": lambda view, _: bundle.images(view, 0, view.size),
    "offload-binary": lambda view, _: offload.images(view, 0, view.size),
    "kpack": lambda view, _: kpack.images(view),
    "spirv": lambda view, _: iter(spirv.at(view, 0)),
    "tensile": lambda view, name: iter([tensile.bare_image(name, view.size)]),
}
