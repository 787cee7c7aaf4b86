"""The command line: words for people, data for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from codeobj_samples import FIXTURES, library

from buildtool.cli import main


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["gpubuild", "inspect", *words])
    code = main._guarded()
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = FIXTURES / "plain.fatbin"
    code, out, _ = call(capsys, monkeypatch, str(path), "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["schema"], document["targets"]) == (1, ["compute_86"])
    (image,) = document["files"][0]["images"]
    assert (image["kind"], image["target"]) == ("ptx", "compute_86")
    assert image["bytes"] <= document["files"][0]["bytes"]


def test_words_and_a_verdict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call(capsys, monkeypatch, str(FIXTURES / "targets.fatbin"), "--for", "sm_103")
    assert code == 0
    assert "sm_90a" in out
    assert "on sm_103: yes" in out


def test_several_paths_and_kernels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(FIXTURES / "zstd.fatbin"), str(FIXTURES / "linux.o")]
    code, out, _ = call(capsys, monkeypatch, *paths, "--kernels")
    assert code == 0
    assert "targets: compute_86 compute_90 sm_86 sm_90" in out
    assert {"  series64", "  scale"} <= set(out.splitlines())


def test_no_device_code(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib.so").write_bytes(library({".text": b"x"}))
    code, out, _ = call(capsys, monkeypatch, str(tmp_path / "lib.so"))
    assert (code, out) == (0, "no device code (1 file read)\n")


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = call(capsys, monkeypatch, str(tmp_path / "nothing"))
    assert code == 12
    assert "does not exist" in err
