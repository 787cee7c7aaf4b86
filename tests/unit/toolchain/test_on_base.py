"""The toolchain of an old system: its compiler, and a toolkit of the store shown inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildtool.compat.bases import base_systems, with_base
from buildtool.compat.model import Plan, PlanCompiler, PlanSource, PlanToolkit
from buildtool.errors import IncompatibleError, IntegrityError
from buildtool.store.entries import Entry
from buildtool.toolchain import acquire
from buildtool.toolchain.sandbox import Sandbox

ROW = base_systems()[0]
COMPILER = PlanCompiler(
    family="clang", version=ROW.compiler.version, cxx=ROW.compiler.cxx, cc=ROW.compiler.cc or ""
)  # fmt: skip
PLAN = Plan(
    recipe="llama.cpp", source=PlanSource(kind="local", name="x", version="1"), backend="cpu", targets=(), toolkit=None,
    host_compiler=COMPILER, profile="minimal", cmake_options={}, runtime="pip", wheels=(), platform="linux-x86_64",
)  # fmt: skip


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PlanToolkit, Path]:
    """An old system that was made, and whose compiler is there."""
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    for program in (COMPILER.cxx, COMPILER.cc):
        (tree / program.lstrip("/")).touch()
    entry = Entry(kind="rootfs", key="x", path=tree, origin="", bytes=0, files=0, created="", facts={})
    monkeypatch.setattr("buildtool.toolchain.rootfs.provide.ensure", lambda *_, **__: entry)
    monkeypatch.setattr("buildtool.toolchain.sandbox.require_namespaces", lambda: None)
    monkeypatch.setattr(
        "buildtool.toolchain.rootfs.provide.open_sandbox",
        lambda place, shown: Sandbox(tree=str(place), program="bwrap", isolation=(), readable=tuple(shown)),
    )
    made = with_base(PLAN, ROW, "2_31").base
    assert made
    return made, tree


def test_the_compiler_is_the_one_inside(base: tuple[PlanToolkit, Path]) -> None:
    found = acquire(None, COMPILER, base=base[0])
    assert found.cmake_options == {"CMAKE_C_COMPILER": COMPILER.cc, "CMAKE_CXX_COMPILER": COMPILER.cxx}
    assert found.sandbox is not None
    assert found.sandbox.tree == str(base[1])
    assert any(Path(found.cmake).is_relative_to(path) for path in found.sandbox.readable)


def test_a_toolkit_of_the_store_is_shown_under_its_own_path(
    base: tuple[PlanToolkit, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "store"
    (place / "nvidia/cu13/bin").mkdir(parents=True)
    entry = Entry(kind="cuda", key="y", path=place, origin="", bytes=0, files=0, created="", facts={})
    monkeypatch.setattr("buildtool.toolchain.rootfs.provide.assemble", lambda *_, **__: entry)
    toolkit = PlanToolkit(kind="cuda", version="13.0.88", provider="pypi")
    found = acquire(toolkit, COMPILER, base=base[0])
    assert found.cmake_options["CMAKE_CUDA_COMPILER"] == str(place / "nvidia/cu13/bin/nvcc")
    assert found.cmake_options["CMAKE_CUDA_HOST_COMPILER"] == COMPILER.cxx
    assert found.sandbox is not None
    assert str(place) in found.sandbox.readable


def test_an_installed_toolkit_is_refused(base: tuple[PlanToolkit, Path]) -> None:
    installed = PlanToolkit(kind="cuda", version="13.0", provider="system", path="/usr/local/cuda")
    with pytest.raises(IncompatibleError, match="cannot be shown inside"):
        acquire(installed, COMPILER, base=base[0])


def test_a_system_without_its_compiler_is_refused(base: tuple[PlanToolkit, Path]) -> None:
    (base[1] / COMPILER.cc.lstrip("/")).unlink()
    with pytest.raises(IntegrityError, match="has no /usr/bin/clang-16"):
        acquire(None, COMPILER, base=base[0])
