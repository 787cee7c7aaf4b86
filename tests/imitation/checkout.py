"""Writes imitated checkouts of Ollama, in both layouts with CMake presets. What they are: docs/ollama-imitation.md.

The presets, folders, names and install components follow Ollama's, as looked up; the projects behind them are small.
ggml's base is the real one, of the llama.cpp tree that is given; llama-server is a program of four lines linked with
it; a GPU's module is one real kernel file of ggml's for CUDA, and for HIP a file that only keeps its list of targets.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

PIN = "b11434"  # one that the recipe offers from a package registry
GO = {
    "go.mod": "module github.com/ollama/ollama\n\ngo 1.19\n",
    "main.go": """package main

import (
\t"fmt"

\t"github.com/ollama/ollama/server"
\t"github.com/ollama/ollama/version"
)

func main() { fmt.Printf("ollama version is %s (%s)\\n", version.Version, server.Mode()) }
""",
    "version/version.go": 'package version\n\nvar Version string = "0.0.0"\n',
    "server/mode.go": 'package server\n\nvar mode string = "debug"\n\nfunc Mode() string { return mode }\n',
}
SERVER = """#include "ggml.h"
#include <cstdio>
int main() { std::printf("ggml %s\\n", ggml_version()); }
"""
MODULE = 'extern "C" const char * ggml_targets() { return "TARGETS=" TARGETS; }\n'


def part(name: str, runner: str, backend: str, **variables: str) -> list[dict[str, object]]:
    """A hidden base, the preset with Ollama's list, and the one that takes a list."""
    common = {"OLLAMA_RUNNER_DIR": runner, "OLLAMA_GPU_BACKEND": backend}
    place = "${sourceDir}/../../build/llama-server-" + runner
    return [
        {"name": f"{name}_base", "hidden": True, "inherits": ["default"], "cacheVariables": common},
        {"name": f"{name}_linux", "inherits": [f"{name}_base"], "binaryDir": place, "cacheVariables": variables},
        {"name": f"{name}_user_arch", "inherits": [f"{name}_base"], "binaryDir": place},
    ]


def new_presets() -> dict[str, object]:
    default = {"BUILD_SHARED_LIBS": "ON", "CMAKE_BUILD_TYPE": "Debug"}
    configure: list[dict[str, object]] = [
        {"name": "default", "binaryDir": "${sourceDir}/../../build/llama-server", "cacheVariables": default},
        {"name": "cpu", "inherits": ["default"], "binaryDir": "${sourceDir}/../../build/llama-server-cpu",
         "cacheVariables": {"OLLAMA_RUNNER_DIR": ""}},
        *part("llama_cuda_v12", "cuda_v12", "cuda", CMAKE_CUDA_ARCHITECTURES="50-virtual;80;90a"),
        *part("llama_cuda_v13", "cuda_v13", "cuda", CMAKE_CUDA_ARCHITECTURES="75-virtual;80-virtual;120-virtual"),
        *[one for one in part("rocm_v7_1", "rocm_v7_1", "hip") if not str(one["name"]).endswith("_linux")],
        *part("rocm_v7_2", "rocm_v7_2", "hip", AMDGPU_TARGETS="gfx90a:xnack-;gfx1030;gfx1100"),
    ]  # fmt: skip
    shown = [str(one["name"]) for one in configure if not one.get("hidden") and one["name"] != "default"]
    targets = {name: ["ggml-cuda" if "cuda" in name else "ggml-hip"] for name in shown}
    targets["cpu"] = ["llama-server", "llama-quantize"]
    builds = [{"name": name, "configurePreset": name, "targets": targets[name]} for name in shown]
    return {"version": 3, "configurePresets": configure, "buildPresets": builds}


NEW_CMAKE = """cmake_minimum_required(VERSION 3.24)
project(ollama-llama-server C CXX)
set(CMAKE_INSTALL_RPATH "$ORIGIN")
include(FetchContent)
file(READ "${CMAKE_CURRENT_SOURCE_DIR}/../../LLAMA_CPP_VERSION" LLAMA_CPP_GIT_TAG)
string(STRIP "${LLAMA_CPP_GIT_TAG}" LLAMA_CPP_GIT_TAG)
if(DEFINED ENV{OLLAMA_LLAMA_CPP_SOURCE})
    set(FETCHCONTENT_SOURCE_DIR_LLAMA_CPP "$ENV{OLLAMA_LLAMA_CPP_SOURCE}" CACHE PATH "" FORCE)
endif()
# SOURCE_SUBDIR names a folder that is not there: the real tree is found, and only what is named below is built.
FetchContent_Declare(llama_cpp GIT_REPOSITORY "https://github.com/ggml-org/llama.cpp.git" GIT_TAG ${LLAMA_CPP_GIT_TAG}
    GIT_SHALLOW TRUE SOURCE_SUBDIR imitation)
FetchContent_MakeAvailable(llama_cpp)
set(GGML ${llama_cpp_SOURCE_DIR}/ggml)
set(OUT lib/ollama)
if(OLLAMA_RUNNER_DIR STREQUAL "")
    set(SRC ${GGML}/src)
    file(GLOB BASE ${SRC}/*.c ${SRC}/*.cpp)
    list(FILTER BASE EXCLUDE REGEX "ggml-backend-(reg|dl)\\\\.cpp$")
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/ggml-version.h CONTENT "")
    add_library(ggml-base SHARED ${BASE})
    target_compile_features(ggml-base PRIVATE cxx_std_17 c_std_11)
    target_compile_definitions(ggml-base PRIVATE GGML_BUILD GGML_SHARED GGML_VERSION="${LLAMA_CPP_GIT_TAG}"
        GGML_COMMIT="imitation" _GNU_SOURCE GGML_SCHED_MAX_COPIES=4)
    target_include_directories(ggml-base PUBLIC ${GGML}/include PRIVATE ${SRC} ${CMAKE_BINARY_DIR})
    foreach(program llama-server llama-quantize)
        add_executable(${program} server.cpp)
        target_link_libraries(${program} ggml-base)
    endforeach()
    install(TARGETS llama-server llama-quantize ggml-base RUNTIME DESTINATION ${OUT} COMPONENT llama-server
        LIBRARY DESTINATION ${OUT} COMPONENT llama-server)
elseif(OLLAMA_GPU_BACKEND STREQUAL "cuda")
    enable_language(CUDA)
    add_library(ggml-cuda MODULE ${GGML}/src/ggml-cuda/acc.cu)
    target_compile_features(ggml-cuda PRIVATE cuda_std_17)
    target_include_directories(ggml-cuda PRIVATE ${GGML}/include ${GGML}/src)
    install(TARGETS ggml-cuda LIBRARY DESTINATION ${OUT}/${OLLAMA_RUNNER_DIR} COMPONENT llama-server)
else()
    add_library(ggml-hip MODULE ../../native/module.cpp)
    string(JOIN "," targets ${CMAKE_HIP_ARCHITECTURES} ${AMDGPU_TARGETS})
    target_compile_definitions(ggml-hip PRIVATE TARGETS="${targets}")
    install(TARGETS ggml-hip LIBRARY DESTINATION ${OUT}/${OLLAMA_RUNNER_DIR} COMPONENT llama-server)
endif()
"""

OLD_PRESETS: dict[str, object] = {
    "version": 3,
    "configurePresets": [
        {"name": "Default", "binaryDir": "${sourceDir}/build", "installDir": "${sourceDir}/dist",
         "cacheVariables": {"CMAKE_BUILD_TYPE": "Debug"}},
        {"name": "CPU", "inherits": ["Default"]},
        {"name": "CUDA", "inherits": ["Default"]},
        {"name": "CUDA 11", "inherits": ["CUDA"], "cacheVariables": {"CMAKE_CUDA_ARCHITECTURES": "50;60;70;80"}},
        {"name": "CUDA 12", "inherits": ["CUDA"], "cacheVariables": {"CMAKE_CUDA_ARCHITECTURES": "50;60;70;80;90a"}},
        {"name": "ROCm", "inherits": ["Default"], "cacheVariables": {"CMAKE_HIP_PLATFORM": "amd"}},
        {"name": "ROCm 6", "inherits": ["ROCm"],
         "cacheVariables": {"AMDGPU_TARGETS": "gfx900;gfx1030;gfx1100;gfx90a:xnack-"}},
    ],
    "buildPresets": [
        {"name": "Default", "configurePreset": "Default", "configuration": "Release"},
        {"name": "CPU", "configurePreset": "Default", "targets": ["ggml-cpu"]},
        {"name": "CUDA", "configurePreset": "CUDA", "targets": ["ggml-cuda"]},
        {"name": "CUDA 11", "inherits": ["CUDA"], "configurePreset": "CUDA 11"},
        {"name": "CUDA 12", "inherits": ["CUDA"], "configurePreset": "CUDA 12"},
        {"name": "ROCm", "configurePreset": "ROCm", "targets": ["ggml-hip"]},
        {"name": "ROCm 6", "inherits": ["ROCm"], "configurePreset": "ROCm 6"},
    ],
}  # fmt: skip
OLD_CMAKE = """cmake_minimum_required(VERSION 3.21)
project(Ollama C CXX)
set(CMAKE_BUILD_TYPE Debug)
set(OLLAMA_BUILD_DIR ${CMAKE_BINARY_DIR}/lib/ollama)
set(OLLAMA_INSTALL_DIR ${CMAKE_INSTALL_PREFIX}/lib/ollama)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${OLLAMA_BUILD_DIR})
add_subdirectory(ml/backend/ggml/ggml/src)
install(TARGETS ggml-base ggml-cpu LIBRARY DESTINATION ${OLLAMA_INSTALL_DIR} COMPONENT CPU)
if(NOT AMDGPU_TARGETS)
    list(FILTER AMDGPU_TARGETS INCLUDE REGEX "^gfx(900|94[012]|101[02]|1030|110[012]|120[01])$")
endif()
if(AMDGPU_TARGETS)
    add_library(ggml-hip MODULE native/module.cpp)
    string(JOIN "," targets ${AMDGPU_TARGETS})
    target_compile_definitions(ggml-hip PRIVATE TARGETS="${targets}")
    install(TARGETS ggml-hip LIBRARY DESTINATION ${OLLAMA_INSTALL_DIR}/rocm COMPONENT HIP)
endif()
"""
OLD_GGML = """file(GLOB BASE *.c *.cpp)
list(FILTER BASE EXCLUDE REGEX "ggml-backend-(reg|dl)\\\\.cpp$")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/ggml-version.h CONTENT "")
add_library(ggml-base SHARED ${BASE})
target_compile_features(ggml-base PRIVATE cxx_std_17 c_std_11)
target_compile_definitions(ggml-base PRIVATE GGML_BUILD GGML_SHARED GGML_VERSION="imitation" GGML_COMMIT="imitation"
    _GNU_SOURCE GGML_SCHED_MAX_COPIES=4)
target_include_directories(ggml-base PUBLIC ../include PRIVATE . ${CMAKE_BINARY_DIR})
add_library(ggml-cpu MODULE ../../../../../native/module.cpp)
target_compile_definitions(ggml-cpu PRIVATE TARGETS="cpu")
target_link_libraries(ggml-cpu ggml-base)
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def new(folder: Path, pin: str = PIN) -> Path:
    """0.30 and newer: llama/server is a project of its own, which fetches llama.cpp."""
    presets = json.dumps(new_presets(), indent=2) + "\n"
    files = {"LLAMA_CPP_VERSION": f"{pin}\n", "llama/server/CMakePresets.json": presets, "native/module.cpp": MODULE,
             "llama/server/CMakeLists.txt": NEW_CMAKE, "llama/server/server.cpp": SERVER,
             "CMakeLists.txt": "cmake_minimum_required(VERSION 3.24)\nproject(Ollama C CXX)\n"}  # fmt: skip
    return write(folder, {**GO, **files})


def old(folder: Path, llama_cpp: Path) -> Path:
    """Before 0.30: its own copy of ggml, of which the base is the real one of `llama_cpp`."""
    ggml = folder / "ml/backend/ggml/ggml"
    shutil.copytree(llama_cpp / "ggml/include", ggml / "include", copy_function=shutil.copy)
    sources = llama_cpp / "ggml/src"
    for path in sorted([*sources.glob("*.[ch]"), *sources.glob("*.cpp"), *sources.glob("ggml-cpu/*.h")]):
        place = ggml / "src" / path.relative_to(sources)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    presets = json.dumps(OLD_PRESETS, indent=2) + "\n"
    files = {"CMakeLists.txt": OLD_CMAKE, "CMakePresets.json": presets, "native/module.cpp": MODULE}
    return write(folder, {**GO, **files, "ml/backend/ggml/ggml/src/CMakeLists.txt": OLD_GGML})
