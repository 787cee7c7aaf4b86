"""Where the compilers lie inside a root filesystem, told by looking; paths are those inside, but for Vulkan's."""

from __future__ import annotations

from pathlib import Path

from buildtool.compat.model import PlanCompiler
from buildtool.errors import IntegrityError
from buildtool.toolchain.installed import rocm_toolchain

ROOT = "/usr"
NVCC = "/usr/bin/nvcc"
GLSLC = "usr/local/bin/glslc"
# Runs the tree's glslc on the machine itself: with the C library it was built for, whatever the machine's own is. No
# program but the shell is started on the way, since a build calls it some two thousand times.
GLSLC_SCRIPT = """#!/bin/sh
usr="${0%/*}/../.."
for libraries in "$usr"/lib/*-linux-gnu*; do
    for loader in "$libraries"/ld-linux-*; do
        exec "$loader" --library-path "$libraries" "$usr/bin/glslc" "$@"
    done
done
"""


def layout(tree: Path, kind: str, version: str, compiler: PlanCompiler) -> tuple[dict[str, str], dict[str, str]]:
    """Return (CMake options, environment) for the toolkit and the host compiler inside `tree`.

    Raises:
        IntegrityError: one of them is not there.
        MissingToolError: as `rocm_toolchain`.
    """
    options = host_compiler(tree, compiler)
    if kind == "cuda":
        _require(tree, NVCC)
        options |= {"CMAKE_CUDA_COMPILER": NVCC, "CUDAToolkit_ROOT": ROOT, "CMAKE_CUDA_HOST_COMPILER": compiler.cxx}
        return options, {}
    found, env = rocm_toolchain(tree / ROOT.lstrip("/"), version)
    inside = {key: _inside(tree, value) for key, value in env.items()}
    return options | {key: _inside(tree, value) for key, value in found.items()}, inside


def host_compiler(tree: Path, compiler: PlanCompiler) -> dict[str, str]:
    """Return the CMake options for the host compiler inside `tree`.

    Raises:
        IntegrityError: it is not there.
    """
    for program in (compiler.cxx, compiler.cc):
        _require(tree, program)
    return {"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx}


def _require(tree: Path, program: str) -> None:
    if not (tree / program.lstrip("/")).exists():
        what = f"The root filesystem {tree} has no {program}."
        raise IntegrityError(what, hint="Remove it with gpubuild toolchain remove, and try again.")


def _inside(tree: Path, value: str) -> str:
    return value.removeprefix(str(tree))


def add_shader_compiler(tree: Path) -> None:
    """Put a glslc into `tree` that runs on this machine, outside of it."""
    script = tree / GLSLC
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GLSLC_SCRIPT, "utf-8")
    script.chmod(0o755)


def vulkan_parts(tree: Path) -> dict[str, str]:
    """Return the CMake options for the shader compiler, headers and loader in `tree`, used from outside.

    Raises:
        IntegrityError: one of them is not there.
    """
    usr = tree / "usr"
    parts = {
        "Vulkan_GLSLC_EXECUTABLE": tree / GLSLC,
        "Vulkan_INCLUDE_DIR": usr / "include" / "vulkan" / "vulkan.hpp",
        "Vulkan_LIBRARY": next(iter(sorted(usr.glob("lib/*/libvulkan.so"))), usr / "lib" / "libvulkan.so"),
        "SPIRV-Headers_DIR": usr / "share" / "cmake" / "SPIRV-Headers" / "SPIRV-HeadersConfig.cmake",
    }
    for path in (usr / "bin" / "glslc", *parts.values()):
        if not path.exists():
            what = f"The root filesystem {tree} has no {path.relative_to(tree)}."
            raise IntegrityError(what, hint="Remove it with gpubuild toolchain remove, and try again.")
    folders = {"Vulkan_INCLUDE_DIR": usr / "include", "SPIRV-Headers_DIR": parts["SPIRV-Headers_DIR"].parent}
    return {name: str(path) for name, path in (parts | folders).items()}
