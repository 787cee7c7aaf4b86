"""The script of a plan, run by a real bash with a real compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.toolchain.programs import cmake_path, ninja_path

pytestmark = pytest.mark.toolchain

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"


def digest(tree: Path) -> str:
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def script_of(tree: Path) -> str:
    argv = [sys.executable, "-m", "buildtool", "compile", "--backend", "cpu", "--source", str(tree)]
    env = os.environ | {"GPUBUILD_DEVICES": "none"}
    done = subprocess.run([*argv, "--print-script", "bash"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_tools(work: Path) -> None:
    """Put CMake and Ninja where the script would install them: fetching is tried elsewhere."""
    for name, program in (("cmake", cmake_path()), ("ninja", ninja_path())):
        folder = work / "tools" / name / "data" / "bin"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(program)


def test_it_builds_installs_and_leaves_the_source_alone(tmp_path: Path) -> None:
    tree, work = tmp_path / "mein Bäumchen $x" / "llama.cpp", tmp_path / "wo rk é"
    shutil.copytree(MINI, tree)
    before = digest(tree)
    script = tmp_path / "build.sh"
    script.write_text(script_of(tree))
    with_tools(work)
    env = os.environ | {"GPUBUILD_WORK": str(work), "CXXFLAGS": "-Dthis_must_not_slip_in=)"}
    for _ in range(2):  # a second run goes on where the first one stopped
        done = subprocess.run(["bash", str(script)], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert digest(tree) == before
    program = work / "install" / "gpubuild_llama" / "lib" / "llama-server"
    said = subprocess.run([program], capture_output=True, text=True, check=True)
    assert said.stdout == "llama.cpp/src/base.cpp\n"


def test_a_step_that_fails_ends_it(tmp_path: Path) -> None:
    tree, work = tmp_path / "llama.cpp", tmp_path / "work"
    shutil.copytree(MINI, tree)
    (tree / "src" / "cpu.cpp").write_text("int broken( { }\n")
    with_tools(work)
    done = subprocess.run(
        ["bash"], input=script_of(tree), cwd=tmp_path, env=os.environ | {"GPUBUILD_WORK": str(work)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "broken" in done.stdout
    assert "Ready in" not in done.stdout
    assert not (work / "install").exists()
