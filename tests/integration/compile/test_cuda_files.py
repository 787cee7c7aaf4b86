"""The nvcc road on a handful of real ggml-cuda files: a fetched toolkit, the compiler cache, honest device code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.toolchain]

DIRECTORY = "ggml/src/ggml-cuda/CMakeFiles/ggml-cuda.dir"
FILES = tuple(f"{DIRECTORY}/{name}.cu.o" for name in ("acc", "clamp", "scale"))


def corner(root: Path) -> dict[str, str]:
    """A store and a cache below `root`, on a machine whose own CUDA is not named by its environment."""
    hidden = ("CUDA_PATH", "CUDA_HOME", "CUDACXX", "GPUBUILD_DEVICES")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    return env | {"GPUBUILD_STORE": str(root / "store"), "GPUBUILD_CACHE": str(root / "cache")}


def gpubuild(env: dict[str, str], *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "buildtool", *arguments, "--json"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def compile_files(env: dict[str, str], *targets: str) -> dict[str, object]:
    wanted = [argument for name in FILES for argument in ("--build-target", name)]
    result = gpubuild(
        env, "compile", "--backend", "cuda", "--toolkit", "cuda==13.0.*", "--target", ";".join(targets), *wanted
    )
    build = result["build"]
    assert isinstance(build, dict)
    return build


def targets_in(env: dict[str, str], build: dict[str, object]) -> set[str]:
    found: set[str] = set()
    for name in FILES:
        inspection = gpubuild(env, "inspect", str(Path(str(build["path"])) / name))
        targets = inspection["targets"]
        assert isinstance(targets, list)
        found |= set(targets)
    return found


def test_real_kernels_compile_for_exactly_the_targets_and_an_added_target_costs_only_itself(
    tmp_path: Path,
) -> None:
    places = corner(tmp_path)
    cold = compile_files(places, "sm_90")
    assert int(str(cold["steps"])) >= len(FILES)
    assert targets_in(places, cold) == {"sm_90"}

    again = compile_files(places, "sm_90")
    assert again["steps"] == 0
    assert again["path"] == cold["path"]

    added = compile_files(places, "sm_90", "sm_80")
    assert targets_in(places, added) == {"sm_80", "sm_90"}
    cache = added["cache"]
    assert isinstance(cache, dict)
    assert cache["launcher"] == "sccache"
    assert cache["detail"].get("hits CUBIN", 0) >= len(FILES), "sm_90's device code must come from the cache"
    assert cache["detail"].get("misses CUBIN", 0) <= len(FILES), "only sm_80's device code is compiled"


def test_kernels_compile_below_a_path_with_spaces_and_other_letters(tmp_path: Path) -> None:
    places = corner(tmp_path / "Größe und Ort")
    build = compile_files(places, "sm_90")
    assert targets_in(places, build) == {"sm_90"}
