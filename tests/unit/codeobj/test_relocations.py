"""Containers move only where every pointer to them is known: packed relocations, and pointers of other data."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from codeobj_hosts import HIPF, PAGE, at_address, hip_bundle, shared_object, windows_library

from buildtool.codeobj import inspect, relocations, thin
from buildtool.codeobj.elf import parse_header, sections
from buildtool.codeobj.view import BytesView, DamagedError

BODY = os.urandom(3 * PAGE)
CONTAINERS = [hip_bundle("gfx900", "gfx1030", body=BODY)] * 3


def notes(tmp_path: Path, content: bytes, name: str) -> tuple[str, ...]:
    (tmp_path / name).write_bytes(content)
    result = thin(tmp_path / name, ["gfx1030"], tmp_path / "out")
    assert inspect(tmp_path / "out").targets == ("gfx1030",)
    return result.notes


def test_packed_relocations_are_followed(tmp_path: Path) -> None:
    before = shared_object(CONTAINERS, packed=True)
    assert not notes(tmp_path, before, "x.so")
    after = (tmp_path / "out").read_bytes()
    assert len(after) < len(before) - 2 * len(BODY)
    magic = struct.pack("<I", HIPF)
    segment = next(at for at in range(PAGE, 1 << 20, 16) if at_address(after, at, 4) == magic)
    pointed = [struct.unpack("<Q", at_address(after, segment + 24 * n + 8, 8))[0] for n in range(3)]
    assert len(set(pointed)) == 3
    assert all(at_address(after, address, 24) == b"__CLANG_OFFLOAD_BUNDLE__" for address in pointed)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.so", lambda: shared_object(CONTAINERS, packed=True, stranger=True)),
        ("x.dll", lambda: windows_library(CONTAINERS, stranger=64)),
    ],
)
def test_nothing_moves_where_other_data_points_into_the_code(
    tmp_path: Path, name: str, make: Callable[[], bytes]
) -> None:
    before = make()
    (note,) = notes(tmp_path, before, name)
    assert "other data points into the section" in note
    assert (tmp_path / "out").stat().st_size == len(before)


def test_a_table_that_claims_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relocations, "MAX_PACKED", 1)
    view = BytesView(shared_object(CONTAINERS, packed=True))
    header = parse_header(view.peek(0, 64))
    with pytest.raises(DamagedError):
        relocations.pointers(view, header, sections(view, header))


def test_windows_relocations_that_contradict_themselves(tmp_path: Path) -> None:
    content = bytearray(windows_library(CONTAINERS))
    block = content.rindex(struct.pack("<I", 12))  # the length of the last block
    content[block : block + 4] = bytes(4)
    (tmp_path / "x.dll").write_bytes(content)
    with pytest.raises(DamagedError):
        thin(tmp_path / "x.dll", ["gfx1030"], tmp_path / "out")
