from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildtool.compat.cards import find_cards
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.matrix.survey import read_survey, split_cards
from buildtool.matrix.wishes import backend_names, profile_name, system_names, version


@pytest.mark.parametrize(
    ("name", "target", "vulkan"),
    [("RTX 3060", "sm_86", True), ("MI210", "gfx90a", False), ("Intel Arc A770 Graphics", None, True),
     ("arc b580", None, True), ("vulkan", None, True), ("cpu", None, False), ("gfx1032", "gfx1032", True)],
)  # fmt: skip
def test_cards_have_a_target_or_vulkan(name: str, target: str | None, *, vulkan: bool) -> None:
    (card,) = find_cards(name)
    assert (str(card.target) if card.target else None, card.vulkan) == (target, vulkan)
    assert [str(one.target) for one in find_cards("sm_80;sm_90")] == ["sm_80", "sm_90"]


def test_a_card_list_is_parted_by_commas_semicolons_and_lines() -> None:
    assert [name for name, _ in split_cards("RTX 3060, RX 6600;H100\n\n,780M")] == [
        "RTX 3060", "RX 6600", "H100", "780M",
    ]  # fmt: skip


def test_a_survey_has_shares_comments_and_doubles(tmp_path: Path) -> None:
    path = tmp_path / "cards.txt"
    path.write_text("# 2026\nRTX 3060, 4.5%\nRTX 4060\t2\n\nRX 6600  # cheap\nRTX 3060; 0.5\n")
    assert read_survey(path) == (("RTX 3060", 5.0), ("RTX 4060", 2.0), ("RX 6600", 1.0))


def test_a_survey_of_machines_counts_their_devices(tmp_path: Path) -> None:
    system = {"system": "linux", "machine": "x86_64", "id": "debian", "version": "12", "name": "Debian", "kernel": ""}
    device = {"vendor": "amd", "name": "RX 6600", "target": "gfx1032", "source": "kfd"}
    nameless = {"vendor": "intel", "name": "Arc A770", "source": "lspci"}
    host = {"os": system, "devices": [device, device, nameless]}
    path = tmp_path / "hosts.json"
    for text in (json.dumps(host), json.dumps([host]), json.dumps(host, indent=1)):
        path.write_text(text)
        assert read_survey(path) == (("gfx1032", 2.0), ("Arc A770", 1.0))
    path.write_text(f"{json.dumps(host)}\n{json.dumps(host)}\n")
    assert read_survey(path) == (("gfx1032", 4.0), ("Arc A770", 2.0))


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe", b"{", b"[1]"])
def test_a_survey_without_cards_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "survey"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        read_survey(path)
    with pytest.raises(InvalidInputError):
        read_survey(tmp_path / "nowhere")


def test_wrong_words_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="cude"):
        backend_names("--backends", "cude")
    with pytest.raises(UnknownNameError, match="cuda"):
        backend_names("--also", "cuda", ("cpu", "vulkan"))
    with pytest.raises(UnknownNameError, match="native"):
        profile_name("native")
    for wrong in (
        lambda: system_names(" , "),
        lambda: system_names("here,linux-x86_64"),
        lambda: version("--glibc", "x"),
    ):
        with pytest.raises(InvalidInputError):
            wrong()


def gpubuild(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from buildtool.cli.main import main; main()", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_prints_a_table_a_document_and_errors(tmp_path: Path) -> None:
    done = gpubuild("matrix", "--cover", "RTX 3060, Arc A770", cwd=tmp_path)
    assert "2 jobs, and no fewer will do" in done.stdout
    done = gpubuild("matrix", "--cover", "RTX 3060", "--format", "github", "--out", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "gpubuild.yml", "linux-x86_64-cuda13.lock", "matrix.json",
    ]  # fmt: skip
    done = gpubuild("matrix", "--cover", "Voodoo 2", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["error"]["kind"]) == (3, "unknown-name")


def test_a_long_line_of_separators_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cards.txt"
    path.write_text("RTX 3060" + "\t" * 20_000 + "x, 2%\nRTX, 3060\n")
    began = time.process_time()
    assert [share for _, share in read_survey(path)] == [2.0, 3060.0]
    assert time.process_time() - began < 1.0


def test_machines_that_are_nested_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    path.write_text('{"os": ' + "[" * 100_000)
    with pytest.raises(InvalidInputError, match="no machines"):
        read_survey(path)


def test_options_before_a_command_of_the_matrix_are_not_passed_over(tmp_path: Path) -> None:
    done = gpubuild("matrix", "--cover", "RTX 3060", "check", "matrix.json", "jobs", cwd=tmp_path)
    assert done.returncode == 2
    assert "Options stand behind the command: gpubuild matrix check" in " ".join(done.stderr.split())
    assert gpubuild("matrix", "check", "matrix.json", "jobs", cwd=tmp_path).returncode == 12
