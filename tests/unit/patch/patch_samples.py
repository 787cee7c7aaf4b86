"""A made-up source tree with guards as llama.cpp has them, Ollama's two layouts in small, and a series."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

HEADER = "ggml/src/ggml-cuda/vendors/hip.h"
COMMON = "ggml/src/ggml-cuda/common.cuh"
HEADER_TEXT = """\
#pragma once
// families
#if defined(__gfx900__) || defined(__gfx906__)
#define GCN5
#endif // defined(__gfx900__) || defined(__gfx906__)

#if defined(__gfx1030__) || \\
    defined(__gfx1031__)  /* more to come */
#define RDNA2
#endif

#if defined(__gfx1010__) || defined(__gfx1012__)
#define RDNA1
#endif
"""
COMMON_TEXT = """\
#define CC_IS_WIDE(cc)   (cc >= 0x908 && cc < 0x1010)  // a comment
static int dot(int a) {
#if defined(RDNA2) || defined(__gfx906__)
    return a;
#elif defined(RDNA1) || defined(__gfx900__)
    return -a;
#endif
}
"""
BODY = """\
schema = 1
[[edit]]
kind = "guard"
files = ["ggml/src/ggml-cuda/vendors/hip.h"]
defines = ["RDNA1"]
term = "__{macro}__"
"""
ROW = """\
[[patch]]
name = "one"
file = "one.toml"
sha256 = "{sha256}"
purpose = "a family"
targets = ["gfx1011", "gfx1013"]
backends = ["rocm"]
part = "backend"
upstream = "nowhere"
source = ["made up"]
"""
OLD_PRESETS = {
    "version": 3,
    "configurePresets": [
        {"name": "Base", "cacheVariables": {"CMAKE_BUILD_TYPE": "Release"}},
        {"name": "CUDA 11", "inherits": ["Base"], "cacheVariables": {"CMAKE_CUDA_ARCHITECTURES": "50;60;70"}},
        {"name": "CUDA 12", "inherits": ["Base"], "cacheVariables": {"CMAKE_CUDA_ARCHITECTURES": "60;70;90a"}},
        {"name": "ROCm", "inherits": ["Base"]},
        {"name": "ROCm 6", "inherits": ["ROCm"], "cacheVariables": {"AMDGPU_TARGETS": "gfx900;gfx1030;gfx90a:xnack-"}},
    ],
}
OLD_CMAKE = """\
if(NOT AMDGPU_TARGETS)
    list(FILTER AMDGPU_TARGETS INCLUDE REGEX "^gfx(900|94[012]|1030|110[0-2])$")
endif()
"""
OLD_GO = 'package discover\n\nvar (\n\tCudaComputeMajorMin = "5"\n\tCudaComputeMinorMin = "0"\n)\n\nvar Other = "9"\n'
NEW_PRESETS = {
    "configurePresets": [
        {"name": "rocm_v8_base", "hidden": True, "cacheVariables": {"GGML_HIP": "ON"}},
        {"name": "rocm_v8_linux", "inherits": ["rocm_v8_base"], "cacheVariables": {"AMDGPU_TARGETS": "gfx942;gfx1030"}},
        {"name": "rocm_v8_user_arch", "inherits": ["rocm_v8_base"]},
        {"name": "vulkan", "cacheVariables": {"AMDGPU_TARGETS": "none of its business"}},
    ],
}


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def write_tree(folder: Path) -> Path:
    return write_files(folder, {"CMakeLists.txt": "project(x)", HEADER: HEADER_TEXT, COMMON: COMMON_TEXT})


def write_series(folder: Path, body: str = BODY, row: str = ROW, **words: str) -> Path:
    sha256 = words.get("sha256", hashlib.sha256(body.encode()).hexdigest())
    head = 'schema = 1\nname = "sample"\nwords = "a sample"\n'
    return write_files(folder, {"series.toml": head + row.replace("{sha256}", sha256), "one.toml": body})


def ollama_old(folder: Path) -> Path:
    return write_files(
        folder,
        {
            "CMakeLists.txt": OLD_CMAKE,
            "CMakePresets.json": json.dumps(OLD_PRESETS, indent=2) + "\n",
            "ml/backend/ggml/ggml/src/CMakeLists.txt": "# ggml",
            "discover/gpu.go": OLD_GO,
        },
    )


def ollama_new(folder: Path) -> Path:
    return write_files(
        folder,
        {"CMakeLists.txt": "project(o)", "llama/server/CMakePresets.json": json.dumps(NEW_PRESETS, indent=2) + "\n"},
    )
