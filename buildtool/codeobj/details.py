"""What only the unpacked image tells: kernel names, the toolkit that made it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import msgspec

from buildtool.codeobj import bundle, codec, cubin, elf, lz4
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import BytesView, DamagedError, View, read

MAX_IMAGE = 1 << 30
ENTRY = re.compile(rb"\.entry\s+([A-Za-z_$%][\w$]*)")
STT_FUNC = 2
STO_CUDA_ENTRY = 0x10
NT_AMDGPU_METADATA = 32
NOTE = struct.Struct("<III")
MAX_NOTES = 4096


class Describer:
    """Adds kernel names and toolkit to the images of one file; unpacks each compressed bundle once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._start = -1
        self._bundle: View = view

    def describe(self, image: Image) -> Image:
        """Return the image with what its unpacked bytes tell.

        Raises:
            DamagedError: it does not unpack, or is not what its container says.
        """
        if image.container == "ccob":
            if image.container_offset != self._start:
                end = image.container_offset + (image.container_bytes or 0)
                self._bundle = bundle.unpacked_view(self._view, image.container_offset, end)
                self._start = image.container_offset
            return _described(image, read(self._bundle, image.offset, _bounded(image.bytes)))
        if image.kind in ("cubin", "hsaco", "ptx"):
            return _described(image, _unpacked(image, read(self._view, image.offset, _bounded(image.bytes))))
        return image


def _bounded(size: int) -> int:
    if size > MAX_IMAGE:
        what = f"An image claims {size} bytes."
        raise DamagedError(what)
    return size


def _unpacked(image: Image, data: bytes) -> bytes:
    size = _bounded(image.unpacked_bytes or 0)
    codec.refuse_bomb(f"The image at {image.offset:#x}", len(data), size)
    if image.compression == "lz4":
        return lz4.decode(data, size)
    if image.compression:
        return codec.unpack_prefix(BytesView(data), 0, len(data), image.compression, size)
    return data


def _described(image: Image, data: bytes) -> Image:
    if image.kind == "ptx":
        return msgspec.structs.replace(image, kernels=_unique(name.decode() for name in ENTRY.findall(data)))
    if not data.startswith(elf.MAGIC):
        return image
    view = BytesView(data)
    table = elf.sections(view)
    if image.kind == "cubin":
        note = b"".join(_content(view, row) for row in table if row.name == ".note.nv.tkinfo")
        names = _unique(
            symbol.name
            for symbol in elf.symbols(view, table)
            if symbol.type == STT_FUNC and symbol.other & STO_CUDA_ENTRY
        )
        return msgspec.structs.replace(image, kernels=names, toolkit=cubin.toolkit_of(note))
    return msgspec.structs.replace(image, kernels=_amd_kernels(view, table))


def _content(view: View, section: elf.Section) -> bytes:
    return b"" if section.type == elf.SHT_NOBITS else read(view, section.offset, section.size)


def _amd_kernels(view: View, table: list[elf.Section]) -> tuple[str, ...]:
    """Names in the metadata notes (code object version 3 on), else the kernel descriptors' symbols.

    A code object that was linked of several has a note of each: Tensile's have hundreds.
    """
    described = [
        content
        for section in table
        if section.type == elf.SHT_NOTE
        for owner, kind, content in _notes(_content(view, section))
        if owner.startswith(b"AMDGPU") and kind == NT_AMDGPU_METADATA
    ]
    if described:
        return _unique(name for content in described for name in _metadata_names(content))
    return _unique(row.name.removesuffix(".kd") for row in elf.symbols(view, table) if row.name.endswith(".kd"))


def _notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    position = 0
    for _ in range(MAX_NOTES):
        if position + NOTE.size > len(data):
            return
        name_size, size, kind = NOTE.unpack_from(data, position)
        start = position + NOTE.size + (name_size + 3 & ~3)
        yield data[position + NOTE.size : position + NOTE.size + name_size], kind, data[start : start + size]
        position = start + (size + 3 & ~3)


def _metadata_names(content: bytes) -> tuple[str, ...]:
    try:
        document = msgspec.msgpack.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = "The metadata note of a code object is damaged."
        raise DamagedError(what, why=str(error)) from error
    kernels = document.get("amdhsa.kernels") if isinstance(document, dict) else None
    if not isinstance(kernels, list):
        return ()
    names = (kernel.get(".name") for kernel in kernels if isinstance(kernel, dict))
    return _unique(name for name in names if isinstance(name, str))


def _unique(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
