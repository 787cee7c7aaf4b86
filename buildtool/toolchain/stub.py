"""A stand-in for the CUDA driver library at link time.

ggml links ``CUDA::cuda_driver``, which is ``libcuda.so.1`` of an installed driver. On a machine without one,
NVIDIA's toolkits bring a stub with the same names; their wheels do not, so one is made from cuda.h.
"""

from __future__ import annotations

import re
from pathlib import Path

from buildtool.errors import DataError
from buildtool.process import run

SONAME = "libcuda.so.1"
COMPILE_TIMEOUT_S = 120.0
# CUDA_ERROR_STUB_LIBRARY of cuda.h: what NVIDIA's own stubs answer.
STUB_RESULT = 34
FEWEST_NAMES = 100
RENAMED = re.compile(r"^\s*#\s*define\s+cu[A-Z]\w*\s+(?:__CUDA_API_(PTDS|PTSZ)\()?(cu[A-Z]\w*)\)?", re.MULTILINE)


def driver_symbols(header: str) -> tuple[str, ...]:
    """Return every symbol a program compiled against this cuda.h can need, sorted.

    The header declares functions by their plain names and renames many with ``#define`` to versioned ones
    (``cuMemAlloc`` is ``cuMemAlloc_v2``), or to those of per-thread streams (``_ptds``, ``_ptsz``).
    """
    declared = set(re.findall(r"\bCUDAAPI\s+(cu[A-Z]\w*)\s*\(", header))
    renamed = RENAMED.findall(header)
    variants = {f"{name}_{kind.lower()}" for kind, name in renamed if kind}
    return tuple(sorted(declared | variants | {name for _, name in renamed}))


def build_stub(header: Path, library: Path, compiler: str) -> None:
    """Compile the stub `library` for the functions of `header` with the C `compiler`.

    Raises:
        DataError: `header` is not the driver API's header.
        ProcessError: the compiler failed.
    """
    names = driver_symbols(header.read_text(encoding="utf-8", errors="replace"))
    if len(names) < FEWEST_NAMES:
        what = f"{header} declares only {len(names)} functions of the CUDA driver."
        raise DataError(what, hint="Report this: the header's form has changed.")
    library.parent.mkdir(parents=True, exist_ok=True)
    source = library.with_suffix(".c")
    source.write_text("".join(f"int {name}(void) {{ return {STUB_RESULT}; }}\n" for name in names), encoding="utf-8")
    flags = ["-shared", "-fPIC", "-O1", f"-Wl,-soname,{SONAME}", "-o", str(library)]
    run([compiler, *flags, str(source)], timeout_s=COMPILE_TIMEOUT_S)
    source.unlink()
