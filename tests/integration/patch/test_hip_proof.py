"""What the patches for ggml's HIP headers enable, compiled for each target by a clang without any ROCm.

ROCm's own headers are stood in for by a few lines; ggml's headers and its int8 dot product are the real ones.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from buildtool.compat.series import load_series, series_directory
from buildtool.compat.targets import parse_targets
from buildtool.patch import known_sources, rehearse
from buildtool.source import SourceTree, acquire

CLANG = next((found for name in ("clang-20", "clang-19", "clang") if (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.skipif(CLANG is None, reason="no clang with an AMDGPU back end here"),
]

RUNTIME = """\
#pragma once
#include <stdint.h>
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __forceinline__ inline __attribute__((always_inline))
#define HIP_VERSION 70000000
struct __hip_bfloat16 { short x; };
struct __hip_bfloat162 { short x, y; };
struct __hip_fp8_e4m3 { char x; };
"""
EMPTY = ("hip/hip_fp16.h", "hip/hip_bf16.h", "hip/hip_bfloat16.h", "hip/hip_fp8.h", "hipblas/hipblas.h",
         "rocblas/rocblas.h", "rccl/rccl.h")  # fmt: skip
HEADER, COMMON = "ggml/src/ggml-cuda/vendors/hip.h", "ggml/src/ggml-cuda/common.cuh"
MULTIPLY, DOT = "v_mul_i32_i24", "v_dot4"
CASES = [
    ("gfx902", "GCN5", MULTIPLY), ("gfx904", "GCN5", MULTIPLY), ("gfx909", "GCN5", MULTIPLY),
    ("gfx90c", "GCN5", MULTIPLY), ("gfx9-generic", "GCN5", MULTIPLY), ("gfx1011", "RDNA1", DOT),
    ("gfx1013", "RDNA1", MULTIPLY), ("gfx10-1-generic", "RDNA1", MULTIPLY), ("gfx10-3-generic", "RDNA2", DOT),
    ("gfx1152", "RDNA3_5", DOT), ("gfx1153", "RDNA3_5", DOT),
]  # fmt: skip


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    for name, text in {"hip/hip_runtime.h": RUNTIME, **dict.fromkeys(EMPTY, "#pragma once\n")}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def sample(label: str) -> SourceTree:
    (known,) = [one for one in known_sources(load_series("llama.cpp")) if one.label == label]
    return acquire(known.plan)


def patched(label: str, out: Path, *targets: str) -> Path:
    """Write the headers of a tree patched for some targets."""
    tree, series = sample(label), load_series("llama.cpp")
    wanted = parse_targets(targets)
    rows = [(row, tuple(one for one in wanted if row.serves(one))) for row in series.patches]
    draft, _ = rehearse(series_directory("llama.cpp"), [pair for pair in rows if pair[1]], tree.path)
    for name in (HEADER, COMMON):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(draft.read(name))
    return out


def clang(tree: Path, stubs: Path, target: str, *arguments: str | Path) -> str:
    version = ["-mcode-object-version=6"] if target.endswith("-generic") else []
    headers = ["-D__HIP_PLATFORM_AMD__", "-DGGML_USE_HIP", f"-I{stubs}", "-include", tree / HEADER]
    device = ["--cuda-device-only", "-nogpulib", "-nogpuinc", "-fuse-cuid=none", *version]
    argv = [CLANG, "-x", "hip", f"--offload-arch={target}", *device, *headers, *arguments]
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, check=False)
    if "invalid target ID" in done.stderr:
        pytest.skip(f"this clang does not know {target}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def families(tree: Path, stubs: Path, target: str) -> set[str]:
    macros = clang(tree, stubs, target, "-E", "-dM", "/dev/null")
    return set(re.findall(r"#define ((?:GCN|RDNA|CDNA)\w*)\b", macros))


def dot_product(tree: Path, stubs: Path, target: str, room: Path) -> str:
    text = (tree / COMMON).read_text()
    function = re.search(r"static __device__ __forceinline__ int ggml_cuda_dp4a.*?\n}\n", text, re.DOTALL)
    assert function is not None
    kernel = room / "kernel.hip"
    kernel.write_text(f"{function[0]}__global__ void k(int * p) {{ p[0] = ggml_cuda_dp4a(p[1], p[2], p[3]); }}\n")
    return clang(tree, stubs, target, "-O2", "-S", "-o", "-", kernel)


@pytest.mark.parametrize("label", ["lcp0.3.36", "b11434", "lcp0.3.28"])
@pytest.mark.parametrize(("target", "family", "instruction"), CASES, ids=str)
def test_a_patched_header_makes_the_target_one_of_its_family(
    label: str, target: str, family: str, instruction: str, stubs: Path, tmp_path: Path
) -> None:
    tree = patched(label, tmp_path, target)
    assert family in families(tree, stubs, target)
    assert instruction in dot_product(tree, stubs, target, tmp_path)


@pytest.mark.parametrize(
    "target", ["gfx902", "gfx9-generic", "gfx1011", "gfx1013", "gfx10-1-generic", "gfx10-3-generic"]
)
def test_without_its_patch_the_target_has_no_family(target: str, stubs: Path) -> None:
    assert families(Path(sample("lcp0.3.36").path), stubs, target) == set()


@pytest.mark.parametrize(
    "target", ["gfx900", "gfx906", "gfx1010", "gfx1012", "gfx1030", "gfx1032", "gfx1100", "gfx942"]
)
def test_patches_change_nothing_for_other_targets(target: str, stubs: Path, tmp_path: Path) -> None:
    plain = Path(sample("b11434").path)
    tree = patched("b11434", tmp_path, "gfx1011", "gfx902", "gfx1013", "gfx90c")
    assert families(tree, stubs, target) == families(plain, stubs, target)
    assert dot_product(tree, stubs, target, tmp_path) == dot_product(plain, stubs, target, tmp_path)


@pytest.mark.parametrize("label", ["lcp0.3.9", "lcp0.3.16", "lcp0.3.32", "lcp0.3.36"])
@pytest.mark.parametrize("number", ["0x909", "0x90c"])
def test_the_host_takes_vega_apus_for_gcn_and_not_for_cdna(label: str, number: str, tmp_path: Path) -> None:
    tree = patched(label, tmp_path, "gfx90c")
    macros = re.findall(r"^#define GGML_CUDA_CC_.*$", (tree / COMMON).read_text(), re.MULTILINE)
    device = f"(GGML_CUDA_CC_OFFSET_AMD + {number})"
    checks = [f"static_assert(GGML_CUDA_CC_IS_GCN({device}));", f"static_assert(!GGML_CUDA_CC_IS_CDNA({device}));"]
    names = re.findall(r"#define (GGML_CUDA_CC_IS_CDNA\d)\(", "\n".join(macros))
    checks += [f"static_assert(!{name}({device}));" for name in names]
    checks += ["static_assert(GGML_CUDA_CC_IS_CDNA(GGML_CUDA_CC_OFFSET_AMD + 0x908));",
               "static_assert(!GGML_CUDA_CC_IS_GCN(GGML_CUDA_CC_OFFSET_AMD + 0x908));"]  # fmt: skip
    source = tmp_path / "host.cpp"
    source.write_text("\n".join([*macros, *checks, ""]))
    done = subprocess.run([str(CLANG), "-std=c++17", "-fsyntax-only", str(source)], capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr
