"""Containers move only where every pointer to them is known: packed relocations, and pointers of other data."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from codeobj_hosts import HIPF, PAGE, at_address, hip_bundle, joined, shared_object, windows_library
from codeobj_samples import FIXTURES, library

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


OTHER = b"no container"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.so", shared_object),
        ("x.dll", windows_library),
        ("x.hipfb", lambda parts: joined(parts)[0]),
    ],
)
def test_what_lies_between_containers_stays(tmp_path: Path, name: str, make: Callable[[list[bytes]], bytes]) -> None:
    before = make([CONTAINERS[0] + OTHER, CONTAINERS[1]])
    (note,) = notes(tmp_path, before, name)
    after = (tmp_path / "out").read_bytes()
    assert "other data lies between the containers" in note
    assert len(after) == len(before)
    assert after.index(OTHER) == before.index(OTHER)


def test_a_section_that_is_not_thinned_stays_as_it_is(tmp_path: Path) -> None:
    """cuBLASLt's own section: one image in each fat binary, and other data between them."""
    fat = (FIXTURES / "targets.fatbin").read_bytes()
    resource = (FIXTURES / "lto.fatbin").read_bytes() + OTHER + bytes(4) + (FIXTURES / "plain.fatbin").read_bytes()
    before = library({".nv_fatbin": fat, ".cask_resource": resource})
    (tmp_path / "x.so").write_bytes(before)
    thin(tmp_path / "x.so", ["sm_75"], tmp_path / "out")
    assert resource in (tmp_path / "out").read_bytes()
    assert "compute_86" in inspect(tmp_path / "out").targets


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
