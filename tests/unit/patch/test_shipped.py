"""The patches that ship: sound data, and what they do to trees laid out as llama.cpp's and Ollama's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from patch_samples import COMMON, HEADER, ollama_new, ollama_old, write_tree

from buildtool.compat.series import load_series, series_directory, series_names
from buildtool.compat.targets import parse_targets
from buildtool.patch import check_tree, load_body, rehearse, targets_of
from buildtool.patch.model import Diff


def patched(project: str, tree: Path, *targets: str) -> dict[str, str]:
    wanted = parse_targets(targets)
    rows = [(row, tuple(one for one in wanted if row.serves(one))) for row in load_series(project).patches]
    draft, _ = rehearse(series_directory(project), [pair for pair in rows if pair[1]], str(tree))
    again = {name: draft.original(name) for name in draft.edited}
    for name, text in draft.edited.items():
        (tree / name).write_bytes(text.encode())
    second, verdicts = rehearse(series_directory(project), [pair for pair in rows if pair[1]], str(tree))
    assert second.edited == {}
    assert {verdict.state for verdict in verdicts} <= {"not-needed", "elsewhere"}
    assert again
    return draft.edited


@pytest.mark.parametrize("project", series_names())
def test_each_shipped_patch_is_whole_and_for_known_targets(project: str) -> None:
    for row in load_series(project).patches:
        body = load_body(series_directory(project), row)
        assert targets_of(row), row.name
        assert body.edits
        for edit in body.edits:
            placeholders = re.findall(r"\{\w+\}", repr(edit))
            assert set(placeholders) <= {"{target}", "{chip}", "{macro}", "{number}", "{arg}"}
            assert isinstance(edit, Diff) is (row.name == "cuda-minimum")


def test_the_families_of_a_header(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "t")
    edited = patched("llama.cpp", tree, "gfx902", "gfx1013", "gfx10-3-generic", "gfx1030")
    header = edited[HEADER]
    assert "#if defined(__gfx900__) || defined(__gfx906__) || defined(__gfx902__)\n#define GCN5" in header
    assert "defined(__gfx1031__) || defined(__gfx10_3_generic__)" in header
    assert "defined(__gfx1012__) || defined(__gfx1013__)\n#define RDNA1" in header
    assert "#elif defined(RDNA1) || defined(__gfx900__) || defined(__gfx902__)" in edited[COMMON]
    assert "#if defined(RDNA2) || defined(__gfx906__)\n" in edited[COMMON]


def test_ollamas_old_layout(tmp_path: Path) -> None:
    tree = ollama_old(tmp_path / "o")
    edited = patched("ollama", tree, "gfx1032", "sm_37")
    configure = json.loads(edited["CMakePresets.json"])["configurePresets"]
    presets = {one["name"]: one.get("cacheVariables", {}) for one in configure}
    assert presets["ROCm 6"]["AMDGPU_TARGETS"] == "gfx900;gfx1030;gfx90a:xnack-;gfx1032"
    assert presets["CUDA 11"]["CMAKE_CUDA_ARCHITECTURES"] == "50;60;70;37"
    assert presets["CUDA 12"]["CMAKE_CUDA_ARCHITECTURES"] == "60;70;90a"
    assert '"^gfx(900|94[012]|1030|110[0-2]|1032)$"' in edited["CMakeLists.txt"]
    assert 'CudaComputeMajorMin = "3"\n\tCudaComputeMinorMin = "5"\n)' in edited["discover/gpu.go"]
    assert edited["discover/gpu.go"].endswith('var Other = "9"\n')


def test_ollamas_new_layout(tmp_path: Path) -> None:
    tree = ollama_new(tmp_path / "o")
    edited = patched("ollama", tree, "gfx1032", "gfx90c:xnack-")
    assert list(edited) == ["llama/server/CMakePresets.json"]
    presets = json.loads(edited["llama/server/CMakePresets.json"])["configurePresets"]
    lists = [one["cacheVariables"].get("AMDGPU_TARGETS") for one in presets if "cacheVariables" in one]
    assert lists == [None, "gfx942;gfx1030;gfx90c:xnack-;gfx1032", "none of its business"]


def test_a_patch_for_the_other_layout_is_not_about_this_tree(tmp_path: Path) -> None:
    rows = {row.name: row for row in load_series("ollama").patches}
    folder, wanted = series_directory("ollama"), parse_targets(["gfx1032", "sm_37"])
    old = check_tree(folder, rows.values(), str(ollama_old(tmp_path / "old")), wanted)
    new = check_tree(folder, rows.values(), str(ollama_new(tmp_path / "new")), wanted)
    assert [verdict.state for verdict in old] == ["applies", "applies", "applies", "elsewhere"]
    assert [verdict.state for verdict in new] == ["elsewhere", "elsewhere", "elsewhere", "applies"]
