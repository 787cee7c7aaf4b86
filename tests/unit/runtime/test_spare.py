"""A need is taken off a library: what becomes of its bytes, and when it is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_samples import linked, shared

from buildtool.codeobj.manifest import undo
from buildtool.errors import BuildError, GpubuildError
from buildtool.runtime.closure import closure, needed
from buildtool.runtime.facts import spares
from buildtool.runtime.spare import can_spare, spare

Z3 = ["Z3_*"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "vendor").mkdir()
    return tmp_path


def solver(place: Path, *defines: str) -> Path:
    path = place / "vendor/libz3.so.4"
    path.write_bytes(linked("libc.so.6", soname=path.name, defines=defines or ("Z3_mk_config", "Z3_del_config")))
    return path


def compiler(place: Path, **more: object) -> Path:
    path = place / "vendor/libLLVM.so.21.1"
    takes = ("memcpy", "Z3_mk_config", "free", "Z3_del_config")
    arguments = {"takes": takes, "versions": {"memcpy": "libc.so.6", "free": "libc.so.6"}} | more
    needs = ("libz.so.1", "libz3.so.4", "libc.so.6")
    path.write_bytes(linked(*needs, soname=path.name, **arguments))  # type: ignore[arg-type]
    return path


def test_the_entry_goes_and_the_symbols_become_weak(place: Path) -> None:
    library, provider = compiler(place), solver(place)
    before = library.read_bytes()
    assert can_spare(library, "libz3.so.4", provider, Z3)
    record = spare(library, {"libz3.so.4": provider})
    assert needed(library) == ["libz.so.1", "libc.so.6"]
    assert record.without == ("libz3.so.4",)
    assert record.symbols == ("Z3_del_config", "Z3_mk_config")
    after = library.read_bytes()
    assert len(after) == len(before)
    changed = {one.offset + n for one in record.file.changes for n in range(len(one.before))}
    assert all(after[n] == before[n] for n in range(len(before)) if n not in changed)
    weak = [one for one in record.file.changes if one.what == "weak symbol"]
    assert [(one.before, one.after) for one in weak] == [(b"\x12", b"\x22")] * 2
    undo(library, record.file)
    assert library.read_bytes() == before


def test_several_libraries_at_once(place: Path) -> None:
    library = compiler(place, takes=("Z3_mk_config", "el_init"), versions={})
    library.write_bytes(
        linked("libedit.so.2", "libz3.so.4", "libz.so.1", soname=library.name, takes=("Z3_mk_config", "el_init"))
    )
    editor = place / "vendor/libedit.so.2"
    editor.write_bytes(linked(soname=editor.name, defines=("el_init",)))
    record = spare(library, {"libz3.so.4": solver(place), "libedit.so.2": editor})
    assert needed(library) == ["libz.so.1"]
    assert record.symbols == ("Z3_mk_config", "el_init")


@pytest.mark.parametrize(
    "more",
    [
        {"takes": ("Z3_mk_config", "Z3_del_config", "helper")},
        {"versions": {"Z3_mk_config": "libz3.so.4"}},
        {"relocation": 5},
        {"relocation": 18},
    ],
    ids=["another function", "a version", "a copy", "a thread's variable"],
)
def test_what_the_loader_or_the_program_could_miss_is_left_alone(place: Path, more: dict[str, object]) -> None:
    provider = solver(place, "Z3_mk_config", "Z3_del_config", "helper")
    assert not can_spare(compiler(place, **more), "libz3.so.4", provider, Z3)


def test_a_need_that_is_not_there_is_not_taken_off(place: Path) -> None:
    library = compiler(place)
    before = library.read_bytes()
    with pytest.raises(BuildError, match="does not need libother"):
        spare(library, {"libother.so.1": solver(place)})
    assert library.read_bytes() == before


def followed(place: Path, *needs: str) -> tuple[list[str], dict[str, str], list[tuple[str, str]]]:
    (place / "bin/libggml-hip.so").write_bytes(shared(*needs))
    (place / "vendor/libz.so.1").write_bytes(shared(soname="libz.so.1"))
    found = closure(place / "bin/libggml-hip.so", place / "bin", [place / "vendor"])
    return (
        [one.soname for one in found.libraries],
        {one.soname: one.reason for one in found.left_out},
        [(one.needed_by, one.soname) for one in found.spared],
    )


def test_what_is_spared_stays_behind_with_all_that_it_needs(place: Path) -> None:
    compiler(place)
    path = solver(place)
    path.write_bytes(linked("libgmp.so.10", soname=path.name, defines=("Z3_mk_config", "Z3_del_config")))
    libraries, left, spared = followed(place, "libLLVM.so.21.1")
    assert libraries == ["libLLVM.so.21.1", "libz.so.1"]
    assert "static analyser" in left["libz3.so.4"]
    assert "libgmp.so.10" not in left
    assert spared == [("libLLVM.so.21.1", "libz3.so.4")]


@pytest.mark.parametrize("order", [("libLLVM.so.21.1", "libprover.so.1"), ("libprover.so.1", "libLLVM.so.21.1")])
def test_what_another_library_needs_travels_and_serves_both(place: Path, order: tuple[str, str]) -> None:
    compiler(place)
    solver(place)
    (place / "vendor/libprover.so.1").write_bytes(shared("libz3.so.4"))
    libraries, left, spared = followed(place, *order)
    assert "libz3.so.4" in libraries
    assert "libz3.so.4" not in left
    assert spared == []


def test_another_build_of_the_compiler_that_takes_more_keeps_it(place: Path) -> None:
    compiler(place, takes=("Z3_mk_config", "helper"), versions={})
    solver(place, "Z3_mk_config", "helper")
    assert "libz3.so.4" in followed(place, "libLLVM.so.21.1")[0]


def test_the_rows_name_what_they_are_about() -> None:
    row = spares("libLLVM.so.21.1", "libz3.so.4")
    assert row is not None
    assert row.reason
    assert row.source
    assert spares("libLLVM.so.21.1", "libz.so.1") is None
    assert spares("libclang.so.1", "libz3.so.4") is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1200), st.integers(0, 255))
def test_a_damaged_library_is_an_error_of_ours_or_a_whole_result(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    place = tmp_path_factory.mktemp("damaged")
    (place / "vendor").mkdir()
    library, provider = compiler(place), solver(place)
    data = bytearray(library.read_bytes())
    data[position % len(data)] = value
    library.write_bytes(data)
    try:
        if can_spare(library, "libz3.so.4", provider, Z3):
            record = spare(library, {"libz3.so.4": provider})
            undo(library, record.file)
    except GpubuildError:
        pass
    assert library.read_bytes() == bytes(data)
