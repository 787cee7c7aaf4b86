"""What it costs to make wheels reproducible, in processor seconds (a busy machine does not change those).

Usage: ``python benchmarks/reproducibility.py WHEEL [NVCC]``

Two things are done for it beside the build itself: nvcc gets one option more for each source, and the archive is
written once more, sorted, with the wheel's description. The first is timed on a small kernel file with and without the
option, in turns; the second on WHEEL. Prefix maps are part of every build and were not measured apart.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from buildtool.wheel.sealing import seal

TURNS = 5
KERNELS = 40
FLAG = "-Xcudafe=--orig_src_path_name=llama.cpp/ggml/src/ggml-cuda/bench.cu"


def compile_s(nvcc: str, folder: Path, *flags: str) -> float:
    """Compile the kernel file once and return processor seconds of nvcc and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    argv = [nvcc, "-O3", "--generate-code=arch=compute_90,code=[sm_90]", "-Xcompiler=-fPIC", *flags]
    subprocess.run([*argv, "-c", str(folder / "bench.cu"), "-o", str(folder / "bench.o")], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    wheel = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.process_time()
        seal(wheel, folder, None, lambda _info, _files: {})
        print(f"sealing {wheel.stat().st_size / 1e6:.0f} MB: {time.process_time() - began:.2f} s of processor time")
        if sys.argv[2:]:
            kernels = (
                f"namespace {{ template <int N> __global__ void k{n}(float *a) {{\n#pragma unroll\n"
                f"for (int i = 0; i < 64; i++) a[threadIdx.x + i * N] += {n}.5f * i; }} }}\n"
                f"void f{n}(float *a) {{ k{n}<3><<<1, 64>>>(a); k{n}<7><<<1, 64>>>(a); }}\n"
                for n in range(KERNELS)
            )
            (folder / "bench.cu").write_text("".join(kernels))
            plain, told = [], []
            for _ in range(TURNS):
                plain.append(compile_s(sys.argv[2], folder))
                told.append(compile_s(sys.argv[2], folder, FLAG))
            ratio = sum(told) / sum(plain) - 1
            print(f"nvcc: {min(plain):.2f} s without the option, {min(told):.2f} s with it (all turns: {ratio:+.1%})")


if __name__ == "__main__":
    main()
