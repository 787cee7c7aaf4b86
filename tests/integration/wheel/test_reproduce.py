"""A wheel built again from what is inside it: plain, and as a variant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.toolchain

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"


class Machine:
    """One of two: its store and cache lie elsewhere, and so does its copy of the tree."""

    def __init__(self, root: Path) -> None:
        self.tree = root / "der Baum" / "llama.cpp"
        shutil.copytree(MINI, self.tree)
        project = self.tree / "CMakeLists.txt"
        project.write_text(project.read_text().replace("RANGE 1 12", "RANGE 1 1"))  # slow sources prove nothing here
        self.cache = root / "ca che ü"
        self.env = os.environ | {
            "GPUBUILD_STORE": str(root / "störe"), "GPUBUILD_CACHE": str(self.cache), "GPUBUILD_DEVICES": "none"
        }  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "buildtool", *words]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False, timeout=900)


@pytest.mark.parametrize("options", [(), ("--experimental-variants",)], ids=["plain", "variant"])
def test_a_wheel_comes_out_of_its_own_lock_again(tmp_path: Path, options: tuple[str, ...]) -> None:
    first, second = Machine(tmp_path / "one"), Machine(tmp_path / "another one")
    wish = ("--backend", "cpu", "--profile", "minimal", "--source", str(first.tree), "--out", str(tmp_path / "out"))
    done = first.run("compile", *wish, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert wheel.stem.endswith("-x86_64_v3") is bool(options)
    again = second.run("reproduce", str(wheel), "--source", str(second.tree))
    assert (again.returncode, again.stdout[:14]) == (0, "the same bytes"), again.stdout + again.stderr
    assert not list(second.cache.glob("build/reproduce-*/CMakeCache.txt")), "what served the proof is removed"
    (second.tree / "src" / "cpu.cpp").write_text("int another(void) { return 1; }\n")
    other = second.run("reproduce", str(wheel), "--source", str(second.tree))
    assert other.returncode == 7, other.stdout + other.stderr
