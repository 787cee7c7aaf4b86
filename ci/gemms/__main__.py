"""Matrix products through the cuBLAS and cuBLASLt of a folder: one line with the SHA-256 of the result per product.

Usage: python ci/gemms FOLDER     libraries by their paths (libcublas.so.*, libcublasLt.so.*), no toolkit, no compiler
       python ci/gemms --target   the target of the GPU (sm_90)
       python ci/gemms --find     the folder of the libraries that are installed here

The same lines from two libraries mean the same results, bit for bit. Which libraries were in memory goes to the
standard error, with the number of products that worked. The calls are those of NVIDIA's cuBLAS documentation.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import blas
import lt
from device import Device, Report


def in_memory() -> Iterator[str]:
    """Yield the paths of the cuBLAS libraries that this process has loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    yield from sorted({line.split(maxsplit=5)[-1] for line in lines if "libcublas" in line})


def installed() -> Path | None:
    """Return the folder of the libraries that are installed here: NVIDIA's wheels first, then a toolkit."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    folders = [folder for root in roots for folder in sorted(root.glob("*/lib"), reverse=True)]
    folders += [Path("/usr/local/cuda/lib64")]
    return next((folder for folder in folders if list(folder.glob("libcublasLt.so.*"))), None)


def library(folder: Path, name: str) -> ctypes.CDLL:
    """Load a library of the folder by its path, under its versioned name."""
    return ctypes.CDLL(str(min(folder.glob(f"{name}.so.*"), key=lambda path: len(path.name))))


def main(argument: str) -> int:
    """Run as the first lines of this file say."""
    if argument == "--find":
        folder = installed()
        print(folder or "")
        return int(folder is None)
    device = Device()
    if argument == "--target":
        print(f"sm_{device.capability}")
        return 0
    report = Report(device)
    first = library(Path(argument), "libcublasLt")  # first: cuBLAS looks for it by its name
    blas.Blas(device, library(Path(argument), "libcublas")).run(report)
    lt.run(lt.Lt(device, first), report)
    print(f"{dict(report.worked)} products worked", file=sys.stderr)
    print(*in_memory(), sep="\n", file=sys.stderr)
    return 0 if min(report.worked["cublas"], report.worked["cublasLt"]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
