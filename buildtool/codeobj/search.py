"""Device code in the plain data of a library: fat binaries, bundles, code objects and SPIR-V modules.

Some libraries hand device code to the driver themselves and keep it in ``.data`` or ``.rodata`` (cuFFT, ggml's Vulkan
backend); stripped ones have no section table at all. Each format's magic is searched, and a hit counts only if the
format's own reader accepts it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import msgspec

from buildtool.codeobj import amdgpu, bundle, cubin, elf, fatbin, spirv
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import DamagedError, SubView, View, find_all

FATBIN_NEEDLE = struct.pack("<IHH", fatbin.MAGIC, fatbin.VERSION, fatbin.HEADER.size)
ELF_NEEDLE = elf.MAGIC + b"\2\1\1"
MAX_HITS = 1 << 20
MAX_REJECTED = 4096  # false hits per format, so that a file made of them costs seconds and not hours
MAX_WASTED = 256 << 20  # bytes read for false hits, for the same reason

Reader = Callable[[View, int], list[Image]]


class _Metered:
    """A view that counts the bytes read of it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.size = view.size
        self.taken = 0

    def peek(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`."""
        data = self._view.peek(offset, length)
        self.taken += len(data)
        return data


def images(view: View) -> Iterator[Image]:
    """Find device code anywhere in a file, in file order; what lies inside an earlier container is its part."""
    stop = wasted = 0
    metered = _Metered(view)
    rejected = dict.fromkeys(_READERS, 0)
    for position, needle in find_all(view, tuple(_READERS), MAX_HITS):
        if position < max(stop, 1) or rejected[needle] > MAX_REJECTED or wasted > MAX_WASTED:
            continue
        before, metered.taken = stop, 0
        for image in _accepted(_READERS[needle], metered, position):
            stop = max(stop, image.container_offset + (image.container_bytes or 0))
            yield image
        if stop == before:
            rejected[needle] += 1
            wasted += metered.taken


def _accepted(reader: Reader, view: View, position: int) -> list[Image]:
    try:
        return reader(view, position)
    except DamagedError:
        return []


def _fatbin(view: View, position: int) -> list[Image]:
    found = list(fatbin.container(view, position, view.size))
    return found if all(image.kind in fatbin.PLAUSIBLE for image in found) else []


def _bundle(view: View, position: int) -> list[Image]:
    return bundle.one(view, position, view.size)[1]


def _object(view: View, position: int) -> list[Image]:
    header = elf.parse_header(view.peek(position, 64))
    if header.machine not in (elf.EM_CUDA, elf.EM_AMDGPU):
        return []
    size = elf.extent(view, position, header)
    inner = SubView(view, position, size)
    image = cubin.bare_image(inner, header) if header.machine == elf.EM_CUDA else amdgpu.bare_image(header, size)
    return [place(image, position)]


def place(image: Image, position: int) -> Image:
    """Return a bare object's image as it lies at `position` of a larger file."""
    return msgspec.structs.replace(image, offset=position, container_offset=position, container_bytes=image.bytes)


_READERS: dict[bytes, Reader] = {
    FATBIN_NEEDLE: _fatbin,
    bundle.MAGIC: _bundle,
    ELF_NEEDLE: _object,
    spirv.NEEDLE: spirv.at,
}
