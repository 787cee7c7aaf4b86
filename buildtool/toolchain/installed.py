"""Installed ROCm and Vulkan toolkits: where their compilers lie, and what CMake must be told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from buildtool.errors import MissingToolError

# Where clang lies below a ROCm root: AMD's packages, older ones, TheRock, and Debian (root /usr).
CLANG_PLACES = ("llvm/bin", "lib/llvm/bin", "lib/llvm-*/bin")
# Debian keeps ROCm's device libraries beside one of its clangs, which is not always the newest that is installed.
DEVICE_LIBRARIES = "lib/llvm-*/lib/clang/*/amdgcn"
GLSLC_PLACES = ("bin", "x86_64/bin", "Bin")


def rocm_toolchain(root: Path, version: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return (CMake options, environment) for the ROCm installation at `root`.

    Raises:
        MissingToolError: it has no clang.
    """
    clangs = [path for place in CLANG_PLACES for path in root.glob(f"{place}/clang++")]
    return rocm_options(root, version, clangs, list(root.glob(DEVICE_LIBRARIES)))


def rocm_options(
    root: Path, version: str, clangs: Sequence[Path], libraries: Sequence[Path]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the same for a root of which only some paths are known.

    Args:
        root: the installation.
        version: its release.
        clangs: what looks like its clang; the newest is taken of those with device libraries beside them, else of all.
        libraries: what fits `DEVICE_LIBRARIES`.

    Raises:
        MissingToolError: there is no clang.
    """
    fitting = [path for path in clangs if any(one.is_relative_to(path.parents[1]) for one in libraries)]
    clang = max(
        fitting or clangs, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], default=None
    )
    if clang is None:
        what = f"ROCm {version} at {root} has no clang++."
        hint = "Install its compiler: the package rocm-llvm (AMD) or hipcc (Debian, Ubuntu)."
        raise MissingToolError(what, hint=hint)
    options = {"CMAKE_HIP_COMPILER": str(clang), "CMAKE_PREFIX_PATH": str(root)}
    if clang.is_relative_to(root / "lib") and clang.parts[-3].startswith("llvm-"):
        # Debian's clang has the device libraries beside it, and stops to look there when ROCM_PATH is set.
        return options, {"HIPCXX": str(clang)}
    env = {"ROCM_PATH": str(root), "HIP_PATH": str(root), "HIPCXX": str(clang)}
    # TheRock keeps the device libraries where clang does not look by itself.
    bitcode = root / "lib" / "llvm" / "amdgcn" / "bitcode"
    if bitcode.is_dir() and not (root / "amdgcn").exists():
        env["HIP_DEVICE_LIB_PATH"] = str(bitcode)
    return options, env


def vulkan_toolchain(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return (CMake options, environment) for the Vulkan SDK or distribution packages at `root`.

    Raises:
        MissingToolError: there is no shader compiler.
    """
    places = [found for place in GLSLC_PLACES if (found := shutil.which("glslc", path=str(root / place)))]
    glslc = places[0] if places else shutil.which("glslc")
    if glslc is None:
        what = f"The Vulkan SDK at {root} has no glslc."
        raise MissingToolError(what, hint="Install the shader compiler: apt install glslc libvulkan-dev")
    return {"Vulkan_GLSLC_EXECUTABLE": glslc}, {} if str(root) == "/usr" else {"VULKAN_SDK": str(root)}
