"""The command line: words for people, data for machines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from codeobj_samples import FIXTURES, bundle, code_object, hip_id, library

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


def test_a_card_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"own.so": ("gfx1032", 0x38), "sibling.so": ("gfx1030", 0x36), "other.so": ("gfx1100", 0x41)}
    for name, (target, mach) in files.items():
        content = library({".hip_fatbin": bundle([(hip_id(target), code_object(mach))])})
        (tmp_path / name).write_bytes(content)
    code, out, _ = call(capsys, monkeypatch, str(tmp_path), "--for-device", "RX 6600", "--json")
    document = json.loads(out)
    assert (code, document["device"]) == (0, "gfx1032")
    answers = {Path(verdict["path"]).name: verdict["answer"] for verdict in document["verdicts"]}
    assert answers == {"own.so": "yes", "sibling.so": "only-if", "other.so": "no"}
    assert all(verdict["reason"] for verdict in document["verdicts"])


def test_many_verdicts_are_told_by_their_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        target, mach = [("gfx1030", 0x36), ("gfx1100", 0x41)][number % 2]
        (tmp_path / f"{number:02}_{target}.co").write_bytes(bundle([(hip_id(target), code_object(mach))]))
    code, out, _ = call(capsys, monkeypatch, str(tmp_path), "--for", "gfx1032")
    lines = [line for line in out.splitlines() if line.startswith("on gfx1032")]
    assert code == 0
    assert [line.split(":")[1].split("  ")[0].strip() for line in lines] == ["only if", "no"]
    assert all("15 files" in line for line in lines)


@pytest.mark.parametrize(("words", "code"), [(("--for-device", "RX 66000"), 3), (("--for", "gfx1032"), 2)])
def test_a_card_nobody_knows_or_named_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    twice = (*words, "--for-device", "RX 6600") if "--for" in words else words
    assert call(capsys, monkeypatch, str(FIXTURES / "zstd.fatbin"), *twice)[0] == code


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


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_file_whose_name_is_no_utf8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / os.fsdecode(b"\xe9.co")
    path.write_bytes(code_object(0x38))
    code, out, _ = call(capsys, monkeypatch, str(path), "--json")
    assert code == 0
    assert json.loads(out)["files"][0]["path"] == str(path)
    code, out, _ = call(capsys, monkeypatch, str(path))
    assert code == 0
    assert "\\udce9.co" in out
    code, out, _ = call(capsys, monkeypatch, f"{path}.missing", "--json")
    assert code == 12
    assert "does not exist" in json.loads(out)["error"]["what"]
