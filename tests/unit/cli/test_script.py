"""``--print-script``: the script on standard output, and nothing else done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from buildtool.cli.main import app

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"
WISH = ("--backend", "cpu", "--source", str(MINI))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["compile", "plan"])
def test_the_script_is_all_there_is(command: str, here: Path) -> None:
    done = CliRunner().invoke(app, [command, *WISH, "--print-script", "auto"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("#!/usr/bin/env bash\n")
    assert str(MINI) in done.stdout
    assert list(here.iterdir()) == []


def test_as_data_it_names_its_plan_and_its_shell() -> None:
    done = CliRunner().invoke(app, ["compile", *WISH, "--print-script", "BASH", "--json"])
    answer = json.loads(done.stdout)
    assert answer["shell"] == "bash"
    assert answer["plan"] in answer["script"]


def test_beside_another_question_it_is_refused() -> None:
    done = CliRunner().invoke(app, ["plan", *WISH, "--print-script", "bash", "--all"])
    assert done.exit_code != 0
