"""Generated and shipped workflows against the providers' own schemas."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildtool.matrix import Wish, sites, solve
from buildtool.matrix.ci import Ci
from buildtool.matrix.survey import split_cards
from buildtool.matrix.write import render

pytestmark = pytest.mark.slow

CI = Path(__file__).parents[3] / "ci"
FORMS = {"github": ["vendor.github-workflows"], "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]}


def valid(file: Path, provider: str) -> None:
    program = shutil.which("check-jsonschema")
    assert program is not None, "check-jsonschema comes with the extra dev"
    argv = [program, "--builtin-schema", *FORMS[provider], str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("systems", [("linux-x86_64",), ("linux-aarch64", "windows-x86_64")])
@pytest.mark.parametrize("cache", ["", "redis://cache:6379"])
@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_generated_workflows_are_valid(tmp_path: Path, provider: str, systems: tuple[str, ...], cache: str) -> None:
    wish = Wish(cards=split_cards("GTX 970, RTX 3060, RX 6600, cpu"), systems=systems, partial=True)
    file = tmp_path / "workflow.yml"
    file.write_text(render(solve(wish, sites(systems)), provider, Ci(cache=cache)))  # type: ignore[arg-type]
    valid(file, provider)


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_shipped_workflows_are_valid(provider: str) -> None:
    valid(CI / f"{provider}-wheels.yml", provider)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    wish = Wish(cards=split_cards("GTX 970, RTX 3060, RX 6600, cpu"), systems=("linux-x86_64",))
    file = tmp_path / "workflow.yml"
    file.write_text(render(solve(wish, sites(wish.systems)), "github", Ci()))
    argv = ["actionlint", "-oneline", str(file), str(CI / "github-wheels.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
