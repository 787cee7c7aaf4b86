"""The main job on a machine without a GPU: a runtime wheel from a registry source that runs a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.toolchain, pytest.mark.slow]


def gpubuild(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "buildtool", *arguments], env=env, capture_output=True, text=True, check=False
    )


def test_a_minimal_runtime_is_built_packed_installed_and_proved(tmp_path: Path) -> None:
    env = os.environ | {"GPUBUILD_DEVICES": "none"}
    out = tmp_path / "dist with space é"
    first = gpubuild(env, "compile", "--backend", "cpu", "--profile", "minimal", "--out", str(out), "--json")
    assert first.returncode == 0, first.stdout + first.stderr
    wheel = json.loads(first.stdout)["wheels"][0]
    assert wheel["tag"].startswith("manylinux_2_")

    home = tmp_path / "home"
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin/pip", "install", "-q", "--no-index", wheel["path"]], check=True)
    shown = subprocess.run(
        [home / "bin/python", "-m", "gpubuild_llama", "info", "--json"], check=True, capture_output=True, text=True
    )
    assert json.loads(shown.stdout)["backends"] == []
    subprocess.run([home / "bin/llama-server", "--version"], check=True, capture_output=True)

    proof = gpubuild(env, "verify", str(out), "--json")
    assert proof.returncode == 0, proof.stdout + proof.stderr

    again = gpubuild(env, "compile", "--backend", "cpu", "--profile", "minimal", "--out", str(out), "--json")
    assert json.loads(again.stdout)["build"]["steps"] == 0
    assert json.loads(again.stdout)["wheels"][0]["sha256"] == wheel["sha256"]
