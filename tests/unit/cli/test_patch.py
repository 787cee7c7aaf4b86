"""``gpubuild patch`` as a stranger would use it, with right and with wrong input."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEADER = "ggml/src/ggml-cuda/vendors/hip.h"
TEXT = "#if defined(__gfx1010__) || defined(__gfx1012__)\n#define RDNA1\n#endif\n"
COMMON = "#elif defined(RDNA1) || defined(__gfx900__)\n"
SECOND = "ggml/src/ggml-cuda/common.cuh"
OWN = """
schema = 1
name = "own"
words = "own"
[[patch]]
name = "d"
file = "d.toml"
sha256 = "{}"
purpose = "p"
targets = ["gfx*"]
backends = ["rocm"]
part = "backend"
upstream = "u"
source = ["s"]
"""
PRESETS = '{"configurePresets": [{"name": "rocm_v8", "cacheVariables": {"AMDGPU_TARGETS": "gfx1030"}}]}'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"CMakeLists.txt": "", HEADER: TEXT, "ggml/src/ggml-cuda/common.cuh": COMMON}.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


def gpubuild(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from buildtool.cli.main import main; main()", "patch", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_list_names_every_patch_of_every_project() -> None:
    shown = gpubuild("list").stdout
    assert all(name in shown for name in ("hip-rdna1", "gfx1013", "rocm-new-layout", "before 2026-07-15"))
    series = json.loads(gpubuild("list", "--json", "--project", "ollama").stdout)["series"]
    assert [one["name"] for one in series] == ["ollama"]


def test_a_patched_copy_is_written_and_the_tree_is_left_alone(tree: Path, tmp_path: Path) -> None:
    done = gpubuild(
        "apply", "--target", "gfx1013;gfx1030", "--patch", "hip-rdna1", "--source", tree, "-o", tmp_path / "o"
    )
    assert done.returncode == 0
    assert done.stdout.strip() == str(tmp_path / "o")
    assert "hip-rdna1: applies: " + HEADER in done.stderr
    assert (tmp_path / "o" / HEADER).read_text() == TEXT.replace("1012__)", "1012__) || defined(__gfx1013__)")
    assert (tree / HEADER).read_text() == TEXT
    again = gpubuild("apply", "--target", "gfx1013", "--source", tmp_path / "o", "-o", tmp_path / "p")
    assert again.returncode == 0
    assert "No patch is needed" in again.stderr
    assert not (tmp_path / "p").exists()


def test_show_prints_the_lines_it_would_change(tree: Path) -> None:
    shown = gpubuild("show", "hip-rdna1", "--source", tree, "--target", "gfx1013")
    assert "+#if defined(__gfx1010__) || defined(__gfx1012__) || defined(__gfx1013__)\n" in shown.stdout
    row = json.loads(gpubuild("show", "hip-rdna1", "--json").stdout)
    path = Path(__file__).parents[3] / "patches" / "llama.cpp" / "hip-rdna1.toml"
    assert row["patch"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_check_of_an_own_tree_of_ollama(tmp_path: Path) -> None:
    folder = tmp_path / "ollama" / "llama" / "server"
    folder.mkdir(parents=True)
    (folder / "CMakePresets.json").write_text(PRESETS)
    (tmp_path / "ollama" / "CMakeLists.txt").touch()
    done = gpubuild("check", "--project", "ollama", "--source", tmp_path / "ollama")
    assert done.returncode == 0
    header, row = done.stdout.splitlines()
    assert header.split() == ["source", "rocm-old-layout", "cuda11-old-layout", "cuda-minimum", "rocm-new-layout"]
    assert row.split() == ["ollama", "-", "-", "-", "applies"]


def test_a_conflict_has_its_own_code_and_shows_the_place(tree: Path, tmp_path: Path) -> None:
    (tree / HEADER).write_text(TEXT.replace(" || ", " && "))
    checked = gpubuild("check", "hip-rdna1", "--source", tree)
    assert checked.returncode == 18
    assert "CONFLICTS" in checked.stdout
    assert "#if defined(__gfx1010__) && defined(__gfx1012__)" in checked.stdout
    applied = gpubuild("apply", "--target", "gfx1013", "--source", tree, "-o", tmp_path / "o")
    assert applied.returncode == 18
    assert HEADER in applied.stderr
    assert "&& defined(__gfx1012__)" in applied.stderr
    assert not (tmp_path / "o").exists()
    data = json.loads(gpubuild("check", "hip-rdna1", "--source", tree, "--json").stdout)
    assert data["sources"][0]["verdicts"][0]["state"] == "conflicts"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "hip-rnda1"], 3, "Did you mean 'hip-rdna1'?"),
        (["list", "--project", "olama"], 3, "Did you mean 'ollama'?"),
        (["check", "--project", "ollama"], 12, "--source PATH"),
        (["check", "--project", "ollama", "--source", "nonsense"], 3, "nonsense"),
        (["check", "--source", "./nowhere"], 12, "no such folder"),
        (["apply"], 12, "--target gfx1013"),
        (["apply", "--target", "gfx9999"], 3, "gfx9999"),
        (["apply", "--target", "gfx1013", "--patch", "none"], 3, "patch list"),
        (["check", "--series", "nowhere"], 12, "series.toml"),
    ],
)
def test_wrong_input_gets_one_screen_and_a_code(arguments: list[str], code: int, words: str) -> None:
    done = gpubuild(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_series_of_ones_own(tree: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    diff = f"--- a/{SECOND}\n+++ b/{SECOND}\n@@ -1 +1 @@\n-{COMMON}+#elif 1\n"
    body = f'schema = 1\n[[edit]]\nkind = "diff"\nfiles = ["{SECOND}"]\ntext = """\n{diff}"""\n'
    (own / "d.toml").write_text(body)
    row = OWN.format(hashlib.sha256(body.encode()).hexdigest())
    (own / "series.toml").write_text(row)
    done = gpubuild("apply", "--series", own, "--target", "gfx1013", "--source", tree, "-o", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "ggml/src/ggml-cuda/common.cuh").read_text() == "#elif 1\n"
    (own / "d.toml").write_text(body + "\n")
    damaged = gpubuild("apply", "--series", own, "--target", "gfx1013", "--source", tree, "-o", tmp_path / "p")
    assert damaged.returncode == 7
    assert "sha256" in damaged.stderr
