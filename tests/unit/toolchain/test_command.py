from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from file_server import FileServer, loopback
from toolkit_samples import VERSION, compiler, toolkit

from buildtool.cli.main import main
from buildtool.toolchain import acquire

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(autouse=True)
def without_pip(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildtool.store.index.configured_registry", lambda: loopback(server))


def gpubuild(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpubuild", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_a_toolkit_is_shown_and_removed(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    acquire(toolkit(server, tmp_path), compiler(tmp_path))
    assert gpubuild(monkeypatch, "toolchain", "show", VERSION) == 0
    shown = capsys.readouterr().out
    assert "package registry" in shown
    assert "nvidia-cublas 13.0.88" in shown
    assert gpubuild(monkeypatch, "toolchain", "remove", VERSION, "--json") == 0
    removed = json.loads(capsys.readouterr().out)
    assert (removed["schema"], removed["removed"]["version"]) == (1, VERSION)
    assert gpubuild(monkeypatch, "toolchain", "show", VERSION) == 3


def test_what_can_be_installed_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("buildtool.toolchain.platform_name", lambda: "linux-x86_64")
    assert gpubuild(monkeypatch, "toolchain", "list", "--available") == 0
    assert "cuda 13.0.88" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spec", "code", "words"), [("cuda==9.*", 4, "On offer"), ("cdua", 3, "Did you mean cuda?"), ("=", 12, "cuda==")]
)
def test_a_wish_that_cannot_be_met_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spec: str, code: int, words: str
) -> None:
    assert gpubuild(monkeypatch, "toolchain", "install", spec) == code
    told = capsys.readouterr()
    assert words in told.err
    assert not told.out


def test_a_mirror_means_nothing_to_a_package_registry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("buildtool.toolchain.platform_name", lambda: "linux-x86_64")
    assert gpubuild(monkeypatch, "toolchain", "install", "cuda==13.0.*", "--mirror", "http://mirror.test/debian") == 12
    assert "Leave --mirror" in capsys.readouterr().err
