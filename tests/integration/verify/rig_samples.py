"""A tiny rocBLAS-like library with hand-made device code, compiled with this machine's compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import codeobj_samples as samples

GFX1030, GFX1032, GFX90A, GFX10_3 = 0x36, 0x38, 0x3F, 0x53
RUNTIME = "libamdhip64.so.6"
IMPORTED = (
    "hipLaunchKernel",
    "hipModuleLoadData",
    "hipModuleGetFunction",
    "hipExtModuleLaunchKernel",
    "hipGetDevicePropertiesR0600",
    "hipSomethingNew",
    "__hipRegisterFatBinary",
    "__hipRegisterFunction",
)


def code_object(mach: int, kernels: tuple[str, ...], features: int = 0, *, version: int = 5, generic: int = 0) -> bytes:
    """An AMDGPU code object whose symbol table holds the descriptors of `kernels`."""
    names = [f"{kernel}.kd".encode() for kernel in kernels]
    strings = b"\0" + b"".join(name + b"\0" for name in names)
    symbols, at = bytes(24), 1
    for name in names:
        symbols += struct.pack("<IBBHQQ", at, 0x11, 0, 1, 0, 64)
        at += len(name) + 1
    symbols_at = 64
    strings_at = symbols_at + len(symbols)
    table_at = strings_at + len(strings) + -(strings_at + len(strings)) % 8
    rows = [(0, 0, 0, 0, 0), (0, 11, symbols_at, len(symbols), 2), (0, 3, strings_at, len(strings), 0)]
    table = b"".join(struct.pack("<IIQQQQIIQQ", n, t, 0, 0, o, s, link, 0, 8, 24) for n, t, o, s, link in rows)
    head = bytearray(samples.code_object(mach, features, version=version, generic=generic, size=64))
    struct.pack_into("<Q", head, 40, table_at)
    struct.pack_into("<HHH", head, 58, 64, len(rows), 0)
    body = symbols + strings
    return bytes(head) + body + bytes(table_at - strings_at - len(strings)) + table


def fat_binary(*targets: tuple[str, int], kernels: tuple[str, ...] = ("scale",)) -> bytes:
    """A bundle with the host's empty entry and one code object per target."""
    objects = [(samples.hip_id(name), code_object(mach, kernels)) for name, mach in targets]
    return samples.bundle([(samples.HOST_ID, b""), *objects])


SOURCE = Path(__file__).parent / "fake_rocblas.cpp"


def fake_rocblas(folder: Path, fat: bytes, library: dict[str, bytes], *, new_function: bool = False) -> Path:
    """Compile the library into `folder` and put its tables and code objects beside it."""
    folder.mkdir(parents=True)
    (folder / "binary.inc").write_text(",".join(str(byte) for byte in fat))
    # What it is linked with: as an installed HIP, a library with the names and their versions.
    (folder / "hip.c").write_text("".join(f"void {name}(void) {{}}\n" for name in IMPORTED))
    (folder / "hip.map").write_text("hip_4.2 { global: *; };\n")
    new = "hipSomethingNew(0) == 801 ? 0 : 9" if new_function else "0"
    hip = ["-x", "c", "hip.c", "-Wl,--version-script=hip.map", f"-Wl,-soname,{RUNTIME}", "-o", "hip.so"]
    own = ["-std=c++17", f"-I{folder}", f"-DNEW={new}", str(SOURCE), "hip.so", "-Wl,-soname,librocblas.so.4", "-ldl"]
    for words in (hip, [*own, "-o", "librocblas.so.4"]):
        argv = [shutil.which("g++") or "c++", "-shared", "-fPIC", "-O0", *words]
        subprocess.run(argv, cwd=folder, check=True)
    (folder / "hip.so").unlink()
    (folder / "rocblas" / "library").mkdir(parents=True)
    for name, data in library.items():
        (folder / "rocblas" / "library" / name).write_bytes(data)
    return folder


def tensile(chip: str, mach: int) -> dict[str, bytes]:
    """The files that a rocBLAS has for one processor."""
    return {
        f"TensileLibrary_lazy_{chip}.dat": b"\x80",
        f"TensileLibrary_Type_SS_{chip}.co": code_object(mach, ("SS",)),
        f"TensileLibrary_Type_HH_{chip}.co": samples.bundle([(samples.hip_id(chip), code_object(mach, ("HH",)))]),
    }
