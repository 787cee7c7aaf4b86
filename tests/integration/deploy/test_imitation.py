"""`enable`, `restore` and `reapply` as commands, on an imitated installation with an imitated AMD card."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import ollama_trees as trees
import pytest
from installation import HERE, Imitation, program
from typer.testing import CliRunner, Result

from buildtool.codeobj import inspect
from buildtool.deploy.disk import entries
from buildtool.errors import GpubuildError

pytestmark = pytest.mark.slow


@pytest.fixture
def imitation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Imitation]:
    made = Imitation(tmp_path)
    program(made.libraries / "llama-server", HERE / "llama_server.py")
    trees.write(made.libraries / "libggml-base.so.0")
    trees.rocm_runner(made.libraries / "rocm_v7_2", "gfx1030", "gfx1100")
    (made.models / "tiny.gguf").write_bytes(b"GGUF" * 100)
    for name in tuple(os.environ):
        if name.startswith(("OLLAMA_", "HSA_")):
            monkeypatch.delenv(name)
    for name, value in {**made.environ, "IMITATED_CARD": "gfx1032", "GPUBUILD_DEVICES": "gfx1032"}.items():
        monkeypatch.setenv(name, value)
    yield made
    made.systemctl("stop", "ollama.service")


def gpubuild(made: Imitation, *words: str, answer: str = "") -> Result:
    from buildtool.cli.main import app

    return CliRunner().invoke(app, ["ollama", *words, "--prefix", str(made.prefix)], input=answer)


def data(result: Result) -> dict[str, object]:
    assert result.exception is None, result.exception
    found: dict[str, object] = json.loads(result.stdout)
    return found


def snapshot(made: Imitation) -> dict[str, str]:
    places = (made.prefix, made.unit.parent)
    return {f"{place.name}/{name}": words for place in places for name, words in entries(place)}


def test_from_a_card_that_is_left_out_to_tokens_and_back(imitation: Imitation) -> None:
    before = snapshot(imitation)
    outcome = data(gpubuild(imitation, "enable", "--method", "retarget", "--yes", "--now", "--json"))
    runner = imitation.libraries / "rocm_v7_2_gpubuild_gfx1032"
    assert outcome["changed"] == [str(runner)]
    assert outcome["proved"] is True
    assert inspect(runner / "libggml-hip.so").targets == ("gfx1032",)
    assert (runner / "rocblas/library/TensileLibrary_lazy_gfx1032.dat").is_file()
    assert "libdirs=ollama,rocm_v7_2_gpubuild_gfx1032" in imitation.log()
    found = data(gpubuild(imitation, "status", "--json"))
    (verdict,) = found["installations"][0]["verdicts"]  # type: ignore[index]
    assert (verdict["state"], verdict["runner"]) == ("used", runner.name)
    assert "in place" in gpubuild(imitation, "reapply", "--now").stdout
    refused = gpubuild(imitation, "restore")  # the proof's model is loaded, and nobody answers
    assert isinstance(refused.exception, GpubuildError)
    assert "nobody answered" in refused.exception.what
    assert data(gpubuild(imitation, "restore", "--now", "--json"))["purpose"] == "restore"
    assert snapshot(imitation) == before


def test_an_upgrade_takes_it_away_and_reapply_brings_it_back(imitation: Imitation) -> None:
    data(gpubuild(imitation, "enable", "--method", "retarget", "--yes", "--now", "--json"))
    imitation.upgrade("0.36.0")
    runner = imitation.libraries / "rocm_v7_2_gpubuild_gfx1032"
    assert not runner.exists()
    again = data(gpubuild(imitation, "reapply", "--now", "--json"))
    assert (again["purpose"], again["proved"]) == ("reapply", True)
    assert runner.is_dir()


def test_the_override_is_a_drop_in_that_restore_takes_away(imitation: Imitation) -> None:
    before = snapshot(imitation)
    outcome = data(gpubuild(imitation, "enable", "--yes", "--now", "--json"))
    assert outcome["method"] == "override", "the first way of the ladder that holds"
    text = (imitation.unit.parent / "ollama.service.d/50-gpubuild.conf").read_text()
    assert 'Environment="HSA_OVERRIDE_GFX_VERSION=10.3.0"' in text
    data(gpubuild(imitation, "restore", "--now", "--json"))
    assert snapshot(imitation) == before


def test_a_card_that_answers_from_the_cpu_is_no_success(imitation: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(imitation)
    monkeypatch.setenv("IMITATED_CARD", "gfx1100")
    failed = gpubuild(imitation, "enable", "--method", "retarget", "--yes", "--now")
    assert isinstance(failed.exception, GpubuildError)
    assert failed.exception.exit_code == 13
    assert snapshot(imitation) == before


def test_a_service_that_refuses_leaves_everything_as_it_was(imitation: Imitation) -> None:
    before = snapshot(imitation)
    imitation.refuse_to_start(yes=True)
    failed = gpubuild(imitation, "enable", "--method", "retarget", "--yes", "--now")
    assert isinstance(failed.exception, GpubuildError)
    assert failed.exception.exit_code == 19
    assert snapshot(imitation) == before


def test_without_a_yes_nothing_happens(imitation: Imitation) -> None:
    before = snapshot(imitation)
    assert "Nothing was changed." in gpubuild(imitation, "enable", answer="n\n").stdout
    assert gpubuild(imitation, "enable", "--dry-run").exit_code == 0
    assert "set -euo pipefail" in gpubuild(imitation, "enable", "--method", "retarget", "--print-script").stdout
    assert snapshot(imitation) == before


def test_a_pin_whose_source_cannot_be_reached_is_told_before_anything_is_built(imitation: Imitation) -> None:
    before = snapshot(imitation)
    (imitation.home / ".gitconfig").write_text('[url "file:///nowhere/"]\n\tinsteadOf = https://github.com/\n')
    failed = gpubuild(imitation, "enable", "--for-device", "sm_86", "--method", "compile", "--yes", "--now").exception
    assert isinstance(failed, GpubuildError)
    assert failed.exit_code == 6, failed
    assert "(b11081) cannot be had" in failed.what
    assert "--source PATH" in failed.hint
    assert snapshot(imitation) == before
    assert not list((imitation.home / "cache/ollama").iterdir()), "nothing waits for root"


@pytest.mark.network
@pytest.mark.toolchain
def test_a_runner_is_built_from_a_named_tree_and_built_again_after_an_upgrade(
    imitation: Imitation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole road from a source to the proof, with a real compiler and an imitation of llama.cpp."""
    before = snapshot(imitation)
    monkeypatch.setenv("IMITATED_LIBRARY", "Vulkan")
    tree = HERE.parent / "fixtures/mini-llama"
    words = ("--method", "vulkan", "--source", str(tree), "--yes", "--now", "--json")
    outcome = data(gpubuild(imitation, "enable", *words))
    runner = imitation.libraries / "vulkan_gpubuild"
    assert outcome["changed"] == [str(runner)]
    assert outcome["proved"] is True
    assert b"--gfx1032" in (runner / "libggml-vulkan.so").read_bytes()
    assert not list((imitation.home / "cache/ollama").iterdir()), "nothing of the build waits any more"
    imitation.upgrade("0.35.0")  # the same llama.cpp: a named source is taken for no other
    again = data(gpubuild(imitation, "reapply", "--now", "--json"))
    assert (again["purpose"], again["proved"], runner.is_dir()) == ("reapply", True, True)
    data(gpubuild(imitation, "restore", "--now", "--json"))
    assert snapshot(imitation) == before
