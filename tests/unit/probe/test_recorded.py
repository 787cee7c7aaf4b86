"""A machine from a file: exactly what ``gpubuild detect --json`` printed, or one clear error."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import ImitatedMachine

from buildtool.errors import InvalidInputError
from buildtool.probe import detect, detect_recorded
from buildtool.probe.recorded import load_host

CSV = (
    "index, name, compute_cap, memory.total [MiB], driver_version\n"
    "0, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB, 580.95.05\n"
)
NVCC = "Cuda compilation tools, release 12.4, V12.4.131\n"


def written(tmp_path: Path, **environ: str) -> tuple[Path, Any]:
    host = detect(environ=environ or None, machine=ImitatedMachine(system="windows", environ=environ))
    path = tmp_path / "host.json"
    path.write_bytes(msgspec.json.encode(host))
    return path, host


def test_what_detect_wrote_is_read_back(tmp_path: Path) -> None:
    path, host = written(tmp_path, GPUBUILD_DEVICES="gfx1032")
    assert load_host(path) == host
    assert detect_recorded(path) == host


def test_powershell_writes_utf_16(tmp_path: Path) -> None:
    path, host = written(tmp_path)
    path.write_text(path.read_text("utf-8"), encoding="utf-16")
    assert load_host(path) == host


def test_recordings_replace_the_gpus_of_a_file(tmp_path: Path) -> None:
    path, host = written(tmp_path, GPUBUILD_DEVICES="gfx1032")
    (tmp_path / "smi.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "nvcc.txt").write_text(NVCC, encoding="utf-8")
    found = detect_recorded(path, {"nvidia-smi-query": tmp_path / "smi.csv", "nvcc-version": tmp_path / "nvcc.txt"})
    assert [(one.target, one.source) for one in found.devices] == [("sm_90", "nvidia-smi-query")]
    assert [one.version for one in found.toolkits] == ["12.4.131"]
    assert found.os == host.os


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "does not describe"),
        ("{}", "does not describe"),
        ("[]", "does not describe"),
        ('{"schema": 1}', "does not describe"),
        ('{"schema": 2, "gpus": []}', "schema 2"),
        ("[" * 100_000, "does not describe"),
        ('{"schema": 1, "os": {"system": "beos"}}', "does not describe"),
    ],
)
def test_a_file_that_describes_no_machine_is_one_clear_error(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "host.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=word) as caught:
        load_host(path)
    assert caught.value.hint


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load_host(tmp_path / "nowhere.json")


HOST = (
    b'{"schema": 1, "os": {"system": "linux", "machine": "x86_64", "id": "", "version": "", "name": "", "kernel": ""}}'
)


@given(st.binary(max_size=80), st.integers(0, len(HOST)), st.integers(0, len(HOST)))
def test_any_bytes_are_a_machine_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, start: int, end: int
) -> None:
    path = tmp_path_factory.mktemp("host") / "host.json"
    path.write_bytes(HOST[:start] + junk + HOST[end:])
    with contextlib.suppress(InvalidInputError):
        assert load_host(path).os.system
