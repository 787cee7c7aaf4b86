"""The module that stands for several GPU backends, compiled and called as ggml calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.toolchain

ROOT = Path(__file__).parents[3]
LOADER = ROOT / "recipes" / "llama.cpp" / "gpubuild-backends.cpp"
MINI = ROOT / "tests" / "fixtures" / "mini-llama" / "src"  # its ggml-backend.h
GGML = """
#include "ggml-backend.h"
#include <cstdio>
extern "C" ggml_backend_reg_t ggml_backend_load(const char * path) { std::printf("load %s\\n", path); return nullptr; }
"""
BACKEND = """
#include "ggml-backend.h"
extern "C" ggml_backend_reg_t ggml_backend_init(void) { return reinterpret_cast<ggml_backend_reg_t>(42); }
"""
CALL = """
import ctypes, sys
loader = ctypes.CDLL(sys.argv[1])
loader.ggml_backend_init.restype = ctypes.c_void_p
print("gave", loader.ggml_backend_init(), flush=True)
"""


def library(folder: Path, name: str, *sources: Path) -> Path:
    target = folder / name
    argv = ["c++", "-shared", "-fPIC", f"-I{MINI}", *map(str, sources), "-o", str(target), "-ldl"]
    subprocess.run(argv, check=True)
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("neben einander")
    (folder / "ggml.cpp").write_text(GGML)
    (folder / "backend.cpp").write_text(BACKEND)
    loader = library(folder, "libgpubuild-backends.so", LOADER, folder / "ggml.cpp")
    return loader, library(folder, "libggml-last.so", folder / "backend.cpp")


def call(loader: Path, backends: str) -> tuple[set[str], str]:
    env = {"GPUBUILD_BACKENDS": backends}
    argv = [sys.executable, "-c", CALL, str(loader)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()), done.stderr


def test_it_has_the_others_loaded_and_stands_for_the_last(made: tuple[Path, Path]) -> None:
    loader, last = made
    assert call(loader, f"/a/x.so:/b/y.so:{last}") == ({"load /a/x.so", "load /b/y.so", "gave 42"}, "")


def test_a_last_one_that_cannot_be_loaded_says_why(made: tuple[Path, Path]) -> None:
    said, problem = call(made[0], "/a/x.so:/b/gone.so")
    assert said == {"load /a/x.so", "gave None"}
    assert "failed to load /b/gone.so: " in problem
    assert "No such file or directory" in problem
    assert call(made[0], "") == ({"gave None"}, "")
