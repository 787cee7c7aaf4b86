"""Run in a root filesystem without ROCm: starts AMD's real libraries from a bundle, as far as they go without a card.

    python3 start.py LIB TARGET

Prints JSON: what HIP says of the devices, the libraries that were loaded, and what comgr compiled for TARGET.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

SOURCE = b"__kernel void fill(__global uint* p, uint v) { p[get_global_id(0)] = v; }\n"
# amd_comgr.h, version 3.0
KIND_SOURCE, KIND_EXECUTABLE, OPENCL_2_0 = 1, 8, 2
ADD_HEADERS, COMPILE_WITH_DEVICE_LIBRARIES, CODEGEN, LINK_EXECUTABLE = 1, 12, 4, 7


class Handle(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_uint64)]


def hip(lib: Path) -> str:
    library = ctypes.CDLL(str(lib / "libamdhip64.so.6"))
    library.hipGetErrorName.restype = ctypes.c_char_p
    count = ctypes.c_int(-1)
    return library.hipGetErrorName(library.hipGetDeviceCount(ctypes.byref(count))).decode()


class Compiler:
    """The compiler that HIP uses for its own copy and fill kernels."""

    def __init__(self, lib: Path, target: str) -> None:
        self.comgr = ctypes.CDLL(str(lib / "libamd_comgr.so.3"))
        self.isa = f"amdgcn-amd-amdhsa--{target}".encode()

    def call(self, name: str, *arguments: object) -> None:
        status = getattr(self.comgr, f"amd_comgr_{name}")(*arguments)
        if status:
            sys.exit(f"amd_comgr_{name} answers {status}")

    def made(self, name: str, *arguments: object) -> Handle:
        handle = Handle()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle

    def act(self, action: int, given: Handle, *options: bytes) -> Handle:
        info = self.made("create_action_info")
        self.call("action_info_set_language", info, OPENCL_2_0)
        self.call("action_info_set_isa_name", info, self.isa)
        words = (ctypes.c_char_p * len(options))(*options)
        self.call("action_info_set_option_list", info, words, ctypes.c_size_t(len(options)))
        result = self.made("create_data_set")
        self.call("do_action", action, info, given, result)
        return result

    def compile(self) -> bytes:
        data = self.made("create_data", KIND_SOURCE)
        self.call("set_data", data, ctypes.c_size_t(len(SOURCE)), SOURCE)
        self.call("set_data_name", data, b"fill.cl")
        given = self.made("create_data_set")
        self.call("data_set_add", given, data)
        headers = self.act(ADD_HEADERS, given)
        code = self.act(COMPILE_WITH_DEVICE_LIBRARIES, headers, b"-O3", b"-cl-std=CL2.0")
        linked = self.act(LINK_EXECUTABLE, self.act(CODEGEN, code, b"-O3"))
        found = self.made("action_data_get_data", linked, KIND_EXECUTABLE, ctypes.c_size_t(0))
        size = ctypes.c_size_t()
        self.call("get_data", found, ctypes.byref(size), None)
        room = ctypes.create_string_buffer(size.value)
        self.call("get_data", found, ctypes.byref(size), room)
        return room.raw


def main() -> None:
    lib, target = Path(sys.argv[1]), sys.argv[2]
    module = ctypes.CDLL(str(lib / "libggml-hip.so"))
    said = hip(lib)
    kernel = Compiler(lib, target).compile()
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    answer = {
        "devices": module.ggml_hip_devices(),
        "error": said,
        "loaded": sorted(mapped),
        "kernel": {"elf": kernel[:4] == b"\x7fELF", "machine": kernel[48]},
    }
    print(json.dumps(answer))  # noqa: T201


main()
