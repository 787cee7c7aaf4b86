"""The sealed archive: equal content gives equal bytes, and RECORD is right."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from buildtool import wheel as packing
from buildtool.errors import InvalidInputError
from buildtool.wheel.reading import check
from buildtool.wheel.sealing import retagged, seal

sys.path.insert(0, str(Path(__file__).parent))

from wheel_files import BACKEND, draft, packed, source_tree


def test_the_order_of_the_draft_does_not_matter(tmp_path: Path) -> None:
    tree = source_tree(tmp_path / "src")
    first = packed(tmp_path / "a", tree=tree, order=1)
    second = packed(tmp_path / "b", tree=tree, order=-1)
    assert first.read_bytes() == second.read_bytes()


def test_the_archive_is_sorted_and_ends_with_record(tmp_path: Path) -> None:
    path = packed(tmp_path)
    names = zipfile.ZipFile(path).namelist()
    inside = [name for name in names if ".dist-info/" not in name]
    assert names[-1].endswith(".dist-info/RECORD")
    assert names[:-1] == [*sorted(inside), *sorted(set(names[:-1]) - set(inside))]
    assert len(check(path)) == len(names) - 1


def test_modes_and_the_clock_of_the_draft_are_kept(tmp_path: Path) -> None:
    made, _ = seal(draft(tmp_path / "d", BACKEND, clock=(2024, 2, 3, 4, 5, 6)), tmp_path, None, lambda _i, _f: {})
    entries = {info.filename: info for info in zipfile.ZipFile(made).infolist()}
    library = next(info for name, info in entries.items() if name.endswith(".so"))
    assert library.external_attr >> 16 == 0o100755
    assert {info.date_time for info in entries.values()} == {(2024, 2, 3, 4, 5, 6)}
    assert made.name.endswith("-linux_x86_64.whl")


def test_the_tag_is_in_the_name_and_in_the_wheel_file(tmp_path: Path) -> None:
    path = packed(tmp_path)
    assert path.name.endswith("-py3-none-manylinux_2_34_x86_64.whl")
    with zipfile.ZipFile(path) as archive:
        text = archive.read(next(name for name in archive.namelist() if name.endswith("/WHEEL"))).decode()
    assert "Tag: py3-none-manylinux_2_34_x86_64\n" in text
    assert "linux_x86_64\n" not in text.replace("manylinux_2_34_x86_64\n", "")


def test_only_the_tag_changes() -> None:
    old = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n\n"
    assert retagged(old, "win_amd64") == old.replace(b"linux_x86_64", b"win_amd64")


@pytest.mark.parametrize("text", ["yesterday", "-1", "0", "99999999999"])
def test_a_clock_that_no_wheel_can_carry_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(InvalidInputError, match="no time"):
        packing.clock()


def test_the_clock_is_the_one_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert packing.clock() == 315532800
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert packing.clock() == 1700000000


def test_the_bytes_do_not_depend_on_how_the_draft_is_compressed(tmp_path: Path) -> None:
    made = []
    for name, level in (("deflated", 6), ("stored", 0)):
        path = tmp_path / name / draft(tmp_path / "d", BACKEND).name
        path.parent.mkdir()
        with zipfile.ZipFile(tmp_path / "d" / path.name) as old, zipfile.ZipFile(path, "w") as new:
            for info in old.infolist():
                new.writestr(info, old.read(info), zipfile.ZIP_DEFLATED, level)
        made.append(seal(path, path.parent / "..", None, lambda _i, _f: {})[0].read_bytes())
    assert made[0] == made[1]
