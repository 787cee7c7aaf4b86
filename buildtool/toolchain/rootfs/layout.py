"""Where the compilers lie inside a root filesystem, told by looking; all paths are those inside."""

from __future__ import annotations

from pathlib import Path

from buildtool.compat.model import PlanCompiler
from buildtool.errors import IntegrityError
from buildtool.toolchain.installed import rocm_toolchain, vulkan_toolchain

ROOT = "/usr"
NVCC = "/usr/bin/nvcc"


def layout(tree: Path, kind: str, version: str, compiler: PlanCompiler) -> tuple[dict[str, str], dict[str, str]]:
    """Return (CMake options, environment) for the toolkit and the host compiler inside `tree`.

    Raises:
        IntegrityError: one of them is not there.
        MissingToolError: as `rocm_toolchain` and `vulkan_toolchain`.
    """
    for program in (compiler.cxx, compiler.cc, *([NVCC] if kind == "cuda" else [])):
        if not (tree / program.lstrip("/")).exists():
            what = f"The root filesystem {tree} has no {program}."
            raise IntegrityError(what, hint="Remove it with gpubuild toolchain remove, and try again.")
    options = {"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx}
    if kind == "cuda":
        options |= {"CMAKE_CUDA_COMPILER": NVCC, "CUDAToolkit_ROOT": ROOT, "CMAKE_CUDA_HOST_COMPILER": compiler.cxx}
        return options, {}
    root = tree / ROOT.lstrip("/")
    found, env = rocm_toolchain(root, version) if kind == "rocm" else vulkan_toolchain(root)
    inside = {key: _inside(tree, value) for key, value in env.items()}
    return options | {key: _inside(tree, value) for key, value in found.items()}, inside


def _inside(tree: Path, value: str) -> str:
    return value.removeprefix(str(tree))
