"""A make-believe CUDA toolkit: wheels with a shell script for nvcc, and a C compiler that only notes its arguments."""

from __future__ import annotations

from pathlib import Path

from archive_samples import zipped
from file_server import FileServer

from buildtool.compat.model import Pin, PlanCompiler, PlanToolkit

VERSION = "13.0.88"
HEADER = """\
#if defined(__CUDA_API_PER_THREAD_DEFAULT_STREAM)
    #define __CUDA_API_PTDS(api) api ## _ptds
    #define __CUDA_API_PTSZ(api) api ## _ptsz
#endif
#define cuMemAlloc                          cuMemAlloc_v2
#define cuMemcpyHtoD                        __CUDA_API_PTDS(cuMemcpyHtoD_v2)
#define cuMemcpyAsync                       __CUDA_API_PTSZ(cuMemcpyAsync)
#define CUDA_VERSION 13000
CUresult CUDAAPI cuMemAlloc(CUdeviceptr *dptr, size_t bytesize);
CUresult CUDAAPI cuInit(unsigned int Flags);
typedef void (CUDA_CB *CUhostFn)(void *userData);
""" + "".join(f"CUresult CUDAAPI cuThing{n}(void);\n" for n in range(100))


def script(text: str) -> bytes:
    """Return a shell script."""
    return f"#!/bin/sh\n{text}\n".encode()


def nvcc(version: str = VERSION) -> bytes:
    """Return an nvcc that only knows its version."""
    return script(f"echo 'Cuda compilation tools, release {version[:4]}, V{version}'")


def compiler(folder: Path) -> PlanCompiler:
    """Make a C and C++ compiler that notes its arguments in ``arguments`` and writes what -o names."""
    path = folder / "cc"
    path.write_bytes(script('echo "$@" > "$(dirname "$0")/arguments"; while [ "$1" != -o ]; do shift; done; : > "$2"'))
    path.chmod(0o755)
    return PlanCompiler(family="gcc", version="12.2", cxx=str(path), cc=str(path))


def toolkit(server: FileServer, folder: Path, *, program: bytes | None = None, version: str = VERSION) -> PlanToolkit:
    """Offer a toolkit of three wheels in `server`'s registry and return a plan for it."""
    top = "nvidia/cu13/"
    wheels = {
        "nvidia-cuda-nvcc": [(f"{top}bin/nvcc", program or nvcc(), 0o100755)],
        "nvidia-cuda-runtime": [
            (f"{top}include/cuda.h", HEADER.encode(), 0o100644),
            (f"{top}lib/libcudart.so.13", b"elf", 0o100755),
        ],
        "nvidia-cublas": [
            (f"{top}lib/libcublas.so.13", b"elf", 0o100755),
            (f"{top}lib/libcublasLt.so.13", b"elf", 0o100755),
        ],
    }
    pins: list[Pin] = []
    for name, members in wheels.items():
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        info = [(f"{name.replace('-', '_')}-{version}.dist-info/METADATA", b"", 0o100644)]
        content = zipped(folder / filename, members + info).read_bytes()
        sha256 = server.add_package(name, filename, content)
        pins.append(Pin(name=name, version=version, filename=filename, sha256=sha256))
    return PlanToolkit(kind="cuda", version=version, provider="pypi", pins=tuple(pins))
