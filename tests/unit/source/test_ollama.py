"""A checkout of Ollama is recognised in each of its layouts, and told what leads on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from buildtool.cli.main import app
from buildtool.errors import InvalidInputError
from buildtool.source.ollama import recognise, refuse


def checkout(root: Path, layout: str, pin: str = "b11081") -> Path:
    (root / "go.mod").write_text("module github.com/ollama/ollama\n\ngo 1.24.1\n")
    (root / "CMakeLists.txt").write_text("project(Ollama)\n")
    if layout == "new":
        (root / "llama/server").mkdir(parents=True)
        (root / "llama/server/CMakePresets.json").write_text("{}")
        (root / "LLAMA_CPP_VERSION").write_text(f"{pin}\n")
    elif layout == "old":
        (root / "ml/backend/ggml").mkdir(parents=True)
    return root


@pytest.mark.parametrize("layout", ["new", "old", "older"])
def test_each_layout_is_recognised(tmp_path: Path, layout: str) -> None:
    found = recognise(checkout(tmp_path, layout))
    assert found is not None
    assert (found.layout, found.go) == (layout, "1.24.1")


def test_other_trees_are_not(tmp_path: Path) -> None:
    assert recognise(tmp_path) is None
    (tmp_path / "go.mod").write_text("module example.com/ollama\n")
    assert recognise(tmp_path) is None


def test_the_new_layout_is_built_by_one_command_or_by_hand(tmp_path: Path) -> None:
    found = recognise(checkout(tmp_path, "new"))
    assert found is not None
    error = refuse(found, "auto", ["gfx1032"])
    assert error.hint == f"gpubuild compile --source {tmp_path} --backend rocm --target gfx1032 builds it"
    assert any("-DCMAKE_HIP_ARCHITECTURES=gfx1032" in line for line in error.details)
    assert "-DCMAKE_CUDA_ARCHITECTURES=61;70" in refuse(found, "cuda", ["sm_61", "sm_70"]).details[1]


def test_the_old_layouts_are_patched_or_made(tmp_path: Path) -> None:
    old = recognise(checkout(tmp_path, "old"))
    assert old is not None
    lines = "\n".join(refuse(old, "rocm", ["gfx1032"]).details)
    assert "gpubuild patch apply --project ollama --target gfx1032" in lines
    assert 'cmake --preset "ROCm 6"' in lines
    assert "Go 1.24.1" in lines


def test_the_guides_makefile_gets_its_list(tmp_path: Path) -> None:
    older = recognise(checkout(tmp_path, "older"))
    assert older is not None
    assert 'CUDA_ARCHITECTURES="35;37;50;52"' in "\n".join(
        refuse(older, "", ["sm_35", "sm_37", "sm_50", "sm_52"]).details
    )


def test_a_plan_of_a_checkout_says_what_builds_it(tmp_path: Path) -> None:
    root = checkout(tmp_path, "new")
    result = CliRunner().invoke(app, ["plan", "--source", str(root), "--target", "gfx1032"])
    assert isinstance(result.exception, InvalidInputError)
    assert "is a checkout of Ollama" in result.exception.what
