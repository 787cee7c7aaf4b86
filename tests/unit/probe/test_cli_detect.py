"""The ``detect`` command: 80 columns, devices first, warnings last, JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from buildtool.cli.main import app
from buildtool.errors import InvalidInputError

SMI = """name, compute_cap, memory.total [MiB], pci.bus_id
NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition, 12.0, 97887 MiB, 00000000:61:00.0
"""


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("GPUBUILD_DEVICES", raising=False)
    return CliRunner()


def test_a_table_of_eighty_columns(empty: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SMI, encoding="utf-8")
    (tmp_path / "b.txt").write_text("Failed to initialize NVML: Driver/library version mismatch\n", encoding="utf-8")
    arguments = [f"--replay=nvidia-smi-query={tmp_path / 'a.csv'}", f"--replay=nvidia-smi-q={tmp_path / 'b.txt'}"]
    result = empty.invoke(app, ["detect", *arguments])
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["Target", "Device", "Memory", "PCI", "address", "Source"]
    assert lines[1].startswith("sm_120")
    assert "95.6 GiB" in lines[1]
    assert lines.index("Warnings") > lines.index("System")
    assert "reboot" in " ".join(lines[lines.index("Warnings") :])


def test_no_gpu_is_said_plainly(empty: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    result = empty.invoke(app, ["detect"])
    assert result.output.splitlines()[0] == "No GPU: GPUBUILD_DEVICES says so."


def test_json_has_the_documented_keys(empty: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "sm_90,gfx1032")
    result = empty.invoke(app, ["detect", "--json"])
    host = json.loads(result.output)
    documented = (Path(__file__).parents[3] / "docs" / "detect.md").read_text(encoding="utf-8")
    assert host["schema"] == 1
    assert [device["target"] for device in host["devices"]] == ["sm_90", "gfx1032"]
    for key in (*host, *host["devices"][0]):
        assert f"| `{key}` |" in documented, key


@pytest.mark.parametrize("value", ["nvidia-smi-q", "=x", "nvidia-smi-q="])
def test_a_malformed_replay_is_refused(empty: CliRunner, value: str) -> None:
    error = empty.invoke(app, ["detect", "--replay", value]).exception
    assert isinstance(error, InvalidInputError) or "There is no tool" in str(error)


def test_a_tool_given_twice_is_refused(empty: CliRunner) -> None:
    error = empty.invoke(app, ["detect", "--replay", "lspci=a", "--replay", "lspci=b"]).exception
    assert isinstance(error, InvalidInputError)
