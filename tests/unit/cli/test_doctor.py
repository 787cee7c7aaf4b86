"""The ``doctor`` command: its exit code and its JSON."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from buildtool.cli.main import app
from buildtool.compat import doctor
from buildtool.compat.doctor import Finding

ILL = Finding(
    severity="error", id="nouveau", what="The nouveau driver holds it.", why="CUDA needs more.", cure="reboot"
)


@pytest.mark.parametrize(("found", "code", "word"), [((), 0, "Nothing is wrong"), ((ILL,), 16, "cure:")])
def test_the_exit_code_says_whether_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, found: tuple[Finding, ...], code: int, word: str
) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "sm_90")
    monkeypatch.setattr(doctor, "diagnose", lambda _host, _health: found)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert word in result.output
    as_json = CliRunner().invoke(app, ["doctor", "--json"])
    assert as_json.exit_code == code
    assert [one["id"] for one in json.loads(as_json.output)["findings"]] == [one.id for one in found]
