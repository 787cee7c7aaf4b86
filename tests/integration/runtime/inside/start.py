"""Run in a root filesystem without ROCm: starts AMD's real libraries from a bundle, as far as they go without a card.

    python3 start.py LIB TARGET

Prints JSON: what HIP says of the devices, which libraries were loaded, and what comgr did for TARGET: the steps of HIP
when it loads a fat binary (unpack it, read the metadata), when it compiles its copy and fill kernels (OpenCL), and
when a program compiles one at run time (HIP; the same through hiprtc).
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from pathlib import Path

OPENCL = b"__kernel void fill(__global uint* p, uint v) { p[get_global_id(0)] = v; }\n"
HIP = b"""
extern "C" __attribute__((global)) void fill(float* p, float v) {
    unsigned at = __builtin_amdgcn_workitem_id_x() + __builtin_amdgcn_workgroup_id_x() * 256;
    p[at] = __builtin_sqrtf(v) + p[at];
}
"""
RTC = b'extern "C" __global__ void fill(float* p, float v) { p[threadIdx.x] = sqrtf(v); }\n'
# amd_comgr.h, version 3.0
KIND_SOURCE, KIND_RELOCATABLE, KIND_EXECUTABLE, KIND_OBJECT_BUNDLE = 1, 7, 8, 0x14
OPENCL_2_0, LANGUAGE_HIP = 2, 3
ADD_HEADERS, COMPILE_WITH_DEVICE_LIBRARIES, CODEGEN, LINK_EXECUTABLE, UNBUNDLE = 1, 12, 4, 7, 15


class Handle(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_uint64)]


def hip(lib: Path) -> str:
    library = ctypes.CDLL(str(lib / "libamdhip64.so.6"))
    library.hipGetErrorName.restype = ctypes.c_char_p
    count = ctypes.c_int(-1)
    return library.hipGetErrorName(library.hipGetDeviceCount(ctypes.byref(count))).decode()


class Comgr:
    """AMD's code object manager, called as HIP calls it."""

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

    def number(self, name: str, *arguments: object) -> int:
        size = ctypes.c_size_t()
        self.call(name, *arguments, ctypes.byref(size))
        return size.value

    def text(self, name: str, *arguments: object) -> bytes:
        """Ask for a size, then for the bytes."""
        size = ctypes.c_size_t()
        self.call(name, *arguments, ctypes.byref(size), None)
        room = ctypes.create_string_buffer(size.value)
        self.call(name, *arguments, ctypes.byref(size), room)
        return room.raw[: size.value]

    def data(self, kind: int, content: bytes, name: bytes = b"") -> Handle:
        data = self.made("create_data", kind)
        self.call("set_data", data, ctypes.c_size_t(len(content)), content)
        if name:
            self.call("set_data_name", data, name)
        return data

    def holding(self, data: Handle) -> Handle:
        given = self.made("create_data_set")
        self.call("data_set_add", given, data)
        return given

    def act(self, action: int, given: Handle, language: int, *options: bytes, ids: tuple[bytes, ...] = ()) -> Handle:
        info = self.made("create_action_info")
        self.call("action_info_set_language", info, language)
        if ids:
            words = (ctypes.c_char_p * len(ids))(*ids)
            self.call("action_info_set_bundle_entry_ids", info, words, ctypes.c_size_t(len(ids)))
        else:
            self.call("action_info_set_isa_name", info, self.isa)
            self.call("action_info_set_device_lib_linking", info, ctypes.c_bool(True))  # noqa: FBT003
        words = (ctypes.c_char_p * len(options))(*options)
        self.call("action_info_set_option_list", info, words, ctypes.c_size_t(len(options)))
        result = self.made("create_data_set")
        self.call("do_action", action, info, given, result)
        return result

    def first(self, made: Handle, kind: int) -> Handle:
        return self.made("action_data_get_data", made, kind, ctypes.c_size_t(0))

    def compile(self, source: bytes, name: bytes, language: int, *options: bytes) -> bytes:
        given = self.holding(self.data(KIND_SOURCE, source, name))
        if language == OPENCL_2_0:
            given = self.act(ADD_HEADERS, given, language)
        code = self.act(COMPILE_WITH_DEVICE_LIBRARIES, given, language, *options)
        linked = self.act(LINK_EXECUTABLE, self.act(CODEGEN, code, language, b"-O3"), language)
        return self.text("get_data", self.first(linked, KIND_EXECUTABLE))

    def unpack(self, fat_binary: bytes) -> bytes:
        """Take the target's code out of a fat binary, compressed or not."""
        given = self.holding(self.data(KIND_OBJECT_BUNDLE, fat_binary, b"kernels.o"))
        wanted = (b"host-x86_64-unknown-linux-gnu-", b"hipv4-" + self.isa)
        made = self.act(UNBUNDLE, given, LANGUAGE_HIP, ids=wanted)
        found = [self.text("get_data", one) for one in self.all(made)]
        return max(found, key=len)

    def all(self, made: Handle) -> Iterator[Handle]:
        for kind in (KIND_RELOCATABLE, KIND_EXECUTABLE):
            for index in range(self.number("action_data_count", made, kind)):
                yield self.made("action_data_get_data", made, kind, ctypes.c_size_t(index))

    def read(self, code: bytes) -> dict[str, object]:
        """Read of a code object what HIP reads when it loads one."""
        data = self.data(KIND_EXECUTABLE, code)
        metadata = self.made("get_data_metadata", data)
        kernels = self.made("metadata_lookup", metadata, b"amdhsa.kernels")
        count = self.number("get_metadata_list_size", kernels)
        last = self.made("index_list_metadata", kernels, ctypes.c_size_t(count - 1))
        name = self.made("metadata_lookup", last, b".name")
        target = self.made("metadata_lookup", metadata, b"amdhsa.target")
        return {
            "isa": _word(self.text("get_data_isa_name", data)),
            "target": _word(self.text("get_metadata_string", target)),
            "kernels": count,
            "last": _word(self.text("get_metadata_string", name)),
        }


def hiprtc(lib: Path, target: str) -> bytes:
    """Compile a kernel as a program does that compiles at run time, through HIP's own interface."""
    library = ctypes.CDLL(str(lib / "libamdhip64.so.6"))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.hiprtcCreateProgram(ctypes.byref(program), RTC, b"fill.hip", 0, None, None)
    options = (ctypes.c_char_p * 2)(f"--offload-arch={target}".encode(), b"-O3")
    if status := library.hiprtcCompileProgram(program, 2, options):
        library.hiprtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value + 1)
        library.hiprtcGetProgramLog(program, log)
        sys.exit(f"hiprtcCompileProgram answers {status}: {log.value.decode()}")
    library.hiprtcGetCodeSize(program, ctypes.byref(size))
    room = ctypes.create_string_buffer(size.value)
    library.hiprtcGetCode(program, room)
    return room.raw


def _word(text: bytes) -> str:
    return text.rstrip(b"\0").decode()


def _elf(code: bytes) -> dict[str, object]:
    return {"elf": code[:4] == b"\x7fELF", "machine": code[48]}


def main() -> None:
    lib, target = Path(sys.argv[1]), sys.argv[2]
    module = ctypes.CDLL(str(lib / "libggml-hip.so"))
    said = hip(lib)
    comgr = Comgr(lib, target)
    packed = max(lib.glob(f"rocblas/*/library/*_{target}.co"), key=lambda path: path.stat().st_size).read_bytes()
    plain = comgr.unpack(packed)
    answer = {
        "devices": module.ggml_hip_devices(),
        "error": said,
        "isas": comgr.number("get_isa_count"),
        "opencl": _elf(comgr.compile(OPENCL, b"fill.cl", OPENCL_2_0, b"-O3", b"-cl-std=CL2.0")),
        "hip": _elf(comgr.compile(HIP, b"fill.hip", LANGUAGE_HIP, b"-O3", b"-nogpuinc", b"-std=c++17")),
        "hiprtc": _elf(hiprtc(lib, target)),
        "packed": {"magic": packed[:4].decode(), "bytes": len(packed), "unpacked": len(plain)} | _elf(plain),
        "read": comgr.read(plain),
    }
    maps = Path("/proc/self/maps").read_text()
    answer["loaded"] = sorted({line.split()[-1] for line in maps.splitlines() if ".so" in line})
    print(json.dumps(answer))  # noqa: T201


main()
