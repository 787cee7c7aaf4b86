"""The Python package inside the runtime wheel."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from buildtool.wheel.project import PAYLOAD


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(PAYLOAD))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.import_module("gpubuild_llama")
    monkeypatch.setattr(metadata, "version", lambda name: {"gpubuild-llama": "1.0", "b": "2.0"}[name])
    yield module
    for name in [name for name in sys.modules if name.startswith("gpubuild_llama")]:
        del sys.modules[name]


def announce(monkeypatch: pytest.MonkeyPatch, *modules: SimpleNamespace | Exception) -> None:
    def point(number: int, module: SimpleNamespace | Exception) -> SimpleNamespace:
        def load() -> SimpleNamespace:
            if isinstance(module, Exception):
                raise module
            return module

        return SimpleNamespace(name=f"gpu{number}", value=f"pkg{number}", load=load)

    points = [point(number, module) for number, module in enumerate(modules)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == "gpubuild_llama.backends" else [])


def module(path: Path, wants: str = "1.0") -> SimpleNamespace:
    return SimpleNamespace(DISTRIBUTION="b", RUNTIME_VERSION=wants, LIBRARY=path)


def test_one_backend_is_handed_to_ggml(package: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "libggml-cuda.so"
    library.touch()
    announce(monkeypatch, module(library))
    assert package.environment({"A": "1"}) == {"A": "1", "GGML_BACKEND_PATH": str(library)}


def test_two_backends_go_through_the_loader(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, loader = tmp_path / "a.so", tmp_path / "b.so", tmp_path / "libgpubuild-backends.so"
    for path in (first, second, loader):
        path.touch()
    announce(monkeypatch, module(first), module(second))
    monkeypatch.setattr(package, "library_directory", lambda: tmp_path)
    env = package.environment({})
    assert env["GGML_BACKEND_PATH"] == str(loader)
    assert env["GPUBUILD_BACKENDS"] == f"{first}:{second}"


def test_a_hand_set_path_wins(package: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x.so").touch()
    announce(monkeypatch, module(tmp_path / "x.so"))
    assert package.environment({"GGML_BACKEND_PATH": "/mine"}) == {"GGML_BACKEND_PATH": "/mine"}


@pytest.mark.parametrize("case", ["mismatch", "missing", "broken"])
def test_a_backend_that_cannot_work_is_named_and_left_out(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    library = tmp_path / "x.so"
    if case != "missing":
        library.touch()
    wrong = {"mismatch": module(library, wants="0.9"), "missing": module(library), "broken": ImportError("no lib")}
    announce(monkeypatch, wrong[case])
    problem = package.backends()[0].problem
    assert {"mismatch": "built for", "missing": "is missing", "broken": "cannot be imported"}[case] in problem
    assert package.environment({}) == {}


def test_a_program_that_is_not_there_says_so(package: ModuleType) -> None:
    with pytest.raises(FileNotFoundError, match="does not contain llama-nothing"):
        package.executable("llama-nothing")
