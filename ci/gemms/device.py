"""The first GPU through the driver's library alone, and numbers for it that are the same every time."""

from __future__ import annotations

import ctypes
import hashlib
import random
import sys
from collections import Counter
from ctypes import byref, c_double, c_float, c_int, c_int32, c_size_t, c_uint16, c_void_p
from typing import NamedTuple

PERIOD = (1 << 20) + 13  # elements until the data repeats; odd, so that no two rows are alike


class Type(NamedTuple):
    """A number format: cuBLAS's code, bytes, and the bits that make any random bits a number in ±[0.5, 1)."""

    code: int
    size: int
    keep: bytes
    fixed: bytes


TYPES = {
    "f64": Type(1, 8, bytes.fromhex("ffffffffffff0f80"), bytes.fromhex("000000000000e03f")),
    "f32": Type(0, 4, bytes.fromhex("ffff7f80"), bytes.fromhex("0000003f")),
    "f16": Type(2, 2, bytes.fromhex("ff83"), bytes.fromhex("0038")),
    "bf16": Type(14, 2, bytes.fromhex("7f80"), bytes.fromhex("003f")),
    "e4m3": Type(28, 1, b"\x87", b"\x30"),
    "e5m2": Type(29, 1, b"\x83", b"\x38"),
    "i8": Type(3, 1, b"\xff", b"\x00"),
    "i32": Type(10, 4, b"\xff\xff\xff\xff", bytes(4)),
}


class Device:
    """The first GPU, through the driver's library alone."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libcuda.so.1")
        device, context = c_int(), c_void_p()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", byref(device), 0)
        numbers = []
        for attribute in (75, 76):  # compute capability, major and minor
            value = c_int()
            self.call("cuDeviceGetAttribute", byref(value), attribute, device)
            numbers.append(value.value)
        self.capability = numbers[0] * 10 + numbers[1]
        self.call("cuDevicePrimaryCtxRetain", byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name: str, *arguments: object) -> None:
        """Call the driver; stop at an error."""
        code = getattr(self._lib, name)(*arguments)
        if code:
            sys.exit(f"{name} failed with error {code}")

    def empty(self, size: int) -> c_void_p:
        """Return fresh memory of zeros."""
        place = c_void_p()
        self.call("cuMemAlloc_v2", byref(place), c_size_t(size))
        self.call("cuMemsetD8_v2", place, 0, c_size_t(size))
        return place

    def filled(self, content: bytes) -> c_void_p:
        """Return fresh memory with a content."""
        place = self.empty(len(content))
        self.call("cuMemcpyHtoD_v2", place, content, c_size_t(len(content)))
        return place

    def taken(self, place: c_void_p, size: int) -> bytes:
        """Return what memory holds once all work is done."""
        self.call("cuCtxSynchronize")
        content = ctypes.create_string_buffer(size)
        self.call("cuMemcpyDtoH_v2", content, place, c_size_t(size))
        return content.raw

    def free(self, *places: c_void_p) -> None:
        """Give memory back."""
        for place in places:
            self.call("cuMemFree_v2", place)


_blocks: dict[tuple[str, int], bytes] = {}


def numbers(name: str, count: int, seed: int) -> bytes:
    """Return `count` numbers of a format, the same ones every time."""
    if (name, seed) not in _blocks:
        kind = TYPES[name]
        size = PERIOD * kind.size
        raw = int.from_bytes(random.Random(seed).randbytes(size), "little")  # noqa: S311 - the same numbers every time
        raw &= int.from_bytes(kind.keep * PERIOD, "little")
        raw |= int.from_bytes(kind.fixed * PERIOD, "little")
        _blocks[name, seed] = raw.to_bytes(size, "little")
    block, wanted = _blocks[name, seed], count * TYPES[name].size
    return (block * (wanted // len(block) + 1))[:wanted]


def scalar(name: str, value: int) -> c_float | c_double | c_int32 | c_uint16:
    """Return alpha or beta in the format that the computation wants."""
    if name == "f64":
        return c_double(value)
    if name == "i32":
        return c_int32(value)
    return c_uint16(0x3C00 if value else 0) if name == "f16" else c_float(value)


class Report:
    """Prints results as they come, and counts those that worked."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.worked: Counter[str] = Counter()

    def result(self, library: str, what: str, status: int, place: c_void_p, size: int) -> None:
        """Print a result, or the library's status."""
        if status:
            print(f"{library}: {what}: status {status}")
            return
        self.worked[library] += 1
        print(f"{library}: {what}: {hashlib.sha256(self._device.taken(place, size)).hexdigest()}")
