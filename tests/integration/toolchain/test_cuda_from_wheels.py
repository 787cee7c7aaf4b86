"""CUDA assembled from the package registry: configures, compiles device code, links against the driver's stub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buildtool.compat.model import PlanCompiler
from buildtool.process import run
from buildtool.toolchain import install, remove

pytestmark = [pytest.mark.network, pytest.mark.toolchain, pytest.mark.slow]

PROJECT = """\
cmake_minimum_required(VERSION 3.18)
project(proof LANGUAGES CXX CUDA)
find_package(CUDAToolkit REQUIRED)
add_library(proof SHARED proof.cu)
target_link_libraries(proof PRIVATE CUDA::cudart CUDA::cublas CUDA::cuda_driver)
target_link_options(proof PRIVATE -Wl,--no-undefined)
"""
KERNEL = """\
#include <cub/cub.cuh>
#include <cublas_v2.h>
#include <cuda.h>
__global__ void twice(float * x) { x[threadIdx.x] *= 2; }
int proof(float * x, int device) {
    cublasHandle_t handle;
    CUmemGenericAllocationHandle memory;
    CUmemAllocationProp prop = {};
    twice<<<1, 32>>>(x);
    return cublasCreate(&handle) + cuMemCreate(&memory, 1, &prop, 0) + cuDeviceGet(&device, 0)
         + cuMemUnmap(0, 0) + cuMemRelease(memory) + cudaDeviceSynchronize();
}
"""


@pytest.mark.parametrize("spec", ["cuda==13.0.*", "cuda"])
def test_a_project_builds_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    cxx, cc = shutil.which("g++"), shutil.which("gcc")
    if not cxx or not cc:
        pytest.skip("no GCC here")
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    found, chain = install(spec, PlanCompiler(family="gcc", version="", cxx=cxx, cc=cc))
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "proof.cu").write_text(KERNEL)
    options = [f"-D{name}={value}" for name, value in chain.cmake_options.items()]
    places = ["-S", str(tmp_path), "-B", str(tmp_path / "b"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={chain.ninja}"]
    run([chain.cmake, *places, *options, "-DCMAKE_CUDA_ARCHITECTURES=90"])
    run([chain.cmake, "--build", str(tmp_path / "b")])
    needed = run(["readelf", "-d", str(tmp_path / "b/libproof.so")]).output
    assert all(f"[{library}]" in needed for library in ("libcuda.so.1", "libcublas.so.13", "libcudart.so.13"))
    remove(found.name)
    assert not Path(found.path).exists()
