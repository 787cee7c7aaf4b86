"""``plan --ladder`` reads an existing binary before it judges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from buildtool.cli.ladder import read_served
from buildtool.cli.main import app
from buildtool.compat.targets import parse_target
from buildtool.errors import InvalidInputError


def test_a_folder_without_device_code_serves_nothing(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing", encoding="utf-8")
    served = read_served(tmp_path, parse_target("gfx1032")[0])
    assert (served.answer, served.stand_in) == ("no", "no")
    assert read_served(tmp_path, parse_target("sm_90")[0]).stand_in is None


def test_the_command_prints_one_ladder_per_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1032,gfx1100")
    result = CliRunner().invoke(app, ["plan", "--have", str(tmp_path), "--json"])
    ladders = json.loads(result.output)["ladders"]
    assert list(ladders) == ["gfx1032", "gfx1100"]
    assert [rung["step"] for rung in ladders["gfx1032"]][:3] == ["served", "override", "retarget"]
    assert ladders["gfx1032"][0]["state"] == "no"
    shown = CliRunner().invoke(app, ["plan", "--ladder", "--for-device", "RX 6600"])
    assert "Ways to serve gfx1032" in shown.output


def test_no_card_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    result = CliRunner().invoke(app, ["plan", "--ladder"])
    assert isinstance(result.exception, InvalidInputError)
    assert "--for-device" in result.exception.hint
