"""``gpubuild thin`` and ``gpubuild retarget``: words for people, data for machines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from codeobj_hosts import gfx_object, hip_bundle, shared_object

from buildtool.cli import main
from buildtool.codeobj import inspect

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def gpubuild(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> object:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["gpubuild", *map(str, words)])
        code = main._guarded()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_thin(tmp_path: Path, gpubuild: object) -> None:
    (tmp_path / "lib.so").write_bytes(shared_object([hip_bundle("gfx900", "gfx1030", body=os.urandom(1 << 16))]))
    code, out, _ = gpubuild("thin", tmp_path / "lib.so", "--keep", "gfx1030", "--out", tmp_path / "o.so")  # type: ignore[operator]
    assert code == 0
    assert "->" in out
    assert inspect(tmp_path / "o.so").targets == ("gfx1030",)
    code, out, _ = gpubuild("thin", tmp_path / "lib.so", "--keep", "gfx900,gfx1030", "--out", tmp_path / "p", "--json")  # type: ignore[operator]
    document = json.loads(out)
    assert (code, document["kept"], document["dropped"], document["notes"]) == (0, 2, [], [])
    assert (tmp_path / "p").read_bytes() == (tmp_path / "lib.so").read_bytes()


def test_retarget_verify_and_undo(tmp_path: Path, gpubuild: object) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object("gfx1030"))
    pair = ("--from", "gfx1030", "--to", "gfx1032")
    code, out, _ = gpubuild("retarget", tmp_path / "x.co", *pair, "--out", tmp_path / "y.co")  # type: ignore[operator]
    assert code == 0
    assert "1 code object for gfx1032" in out
    record = tmp_path / "y.co.retarget.json"
    assert str(record) in out.replace("\n", "")
    assert gpubuild("retarget", tmp_path / "y.co", "--verify", record)[0] == 0  # type: ignore[operator]
    assert gpubuild("retarget", tmp_path / "x.co", "--verify", record)[0] == 7  # type: ignore[operator]
    assert gpubuild("retarget", tmp_path / "y.co", "--undo", record, "--out", tmp_path / "z.co")[0] == 0  # type: ignore[operator]
    assert (tmp_path / "z.co").read_bytes() == (tmp_path / "x.co").read_bytes()
    code, out, _ = gpubuild("retarget", tmp_path / "x.co", *pair, "--out", tmp_path / "j.co", "--json")  # type: ignore[operator]
    assert (code, json.loads(out)["images"], json.loads(out)["to"]) == (0, 1, "gfx1032")


def test_links_in_a_circle_are_nothing_and_links_that_lead_out_are_refused(tmp_path: Path, gpubuild: object) -> None:
    (tmp_path / "loop").symlink_to("loop")
    words = ("--keep", "gfx1030", "--out", tmp_path / "o")
    code, _, err = gpubuild("thin", tmp_path / "loop", *words)  # type: ignore[operator]
    assert (code, "does not exist" in err) == (12, True)
    code, _, err = gpubuild("thin", tmp_path / "loop", "--keep", "gfx1030", "--out", tmp_path / "loop")  # type: ignore[operator]
    assert (code, "source itself" in err) == (12, True)
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/x.co").write_bytes(gfx_object("gfx1030"))
    (tmp_path / "tree/deep/up").symlink_to("..")
    (tmp_path / "tree/deep/out").symlink_to("up/../secret")  # by its words tree/deep/secret, in truth beside tree
    code, _, err = gpubuild("thin", tmp_path / "tree", *words)  # type: ignore[operator]
    assert (code, "link out of its tree" in err) == (12, True)
    (tmp_path / "tree/deep/out").unlink()
    (tmp_path / "tree/deep/in").symlink_to("up/x.co")
    assert gpubuild("thin", tmp_path / "tree", *words)[0] == 0  # type: ignore[operator]
    assert (tmp_path / "o/deep/in").read_bytes() == (tmp_path / "tree/x.co").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--from", "gfx1100", "--to", "gfx1103", "--out", "o"), 4, "vector registers"),
        (("--from", "gfx906", "--to", "gfx900", "--out", "o"), 4, "v_fmac_f32"),
        (("--from", "gfx1030", "--to", "gfx1032", "--out", "x.co"), 12, "source itself"),
        (("--from", "gfx1030", "--to", "gfx1032", "--out", "no/o"), 10, "does not exist"),
        (("--from", "gfx1031", "--to", "gfx1032", "--out", "o"), 4, "It holds gfx1030"),
        (("--from", "gfx1030", "--to", "gfx10322", "--out", "o"), 3, "Nobody knows"),
        (("--from", "gfx1030", "--out", "o"), 2, "both processors"),
        (("--from", "gfx1030", "--to", "gfx1032"), 2, "--out"),
        (("--undo", "m", "--from", "gfx1030", "--out", "o"), 2, "stand alone"),
        (("--verify", "m", "--out", "o"), 2, "writes nothing"),
        (("--verify", "m"), 10, "cannot be read"),
        (("--verify", "x.co"), 12, "no manifest"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, gpubuild: object, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.co").write_bytes(gfx_object("gfx1030"))
    found, _, err = gpubuild("retarget", "x.co", *words)  # type: ignore[operator]
    assert (found, said in " ".join(err.replace("│", " ").split())) == (code, True), err
    assert [path.name for path in tmp_path.iterdir()] == ["x.co"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, gpubuild: object) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object("gfx1030"))
    (tmp_path / "locked").mkdir(mode=0o555)
    words = ("thin", tmp_path / "x.co", "--keep", "gfx1030", "--out", tmp_path / "locked" / "o")
    assert gpubuild(*words)[0] == 10  # type: ignore[operator]


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path, gpubuild: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object("gfx1030"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("buildtool.codeobj.output._copy", stop)
    words = ("retarget", tmp_path / "x.co", "--from", "gfx1030", "--to", "gfx1032", "--out", tmp_path / "o")
    assert gpubuild(*words)[0] == 130  # type: ignore[operator]
    assert [path.name for path in tmp_path.iterdir()] == ["x.co"]
