"""What a backend module pulls along: needed, opened by name, left to the machine, or missing."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_samples import shared

from buildtool.errors import BuildError
from buildtool.runtime.closure import closure, needed
from buildtool.runtime.facts import opened_by, outside


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "vendor").mkdir()
    return tmp_path


def write(place: Path, name: str, *needs: str, strings: tuple[str, ...] = ()) -> None:
    (place / "vendor" / name).write_bytes(shared(*needs, soname=name, strings=strings))


def followed(place: Path, *needs: str) -> tuple[list[str], dict[str, str]]:
    (place / "bin/libggml-hip.so").write_bytes(shared(*needs))
    found = closure(place / "bin/libggml-hip.so", place / "bin", [place / "vendor"])
    return [one.soname for one in found.libraries], {one.soname: one.reason for one in found.left_out}


def test_what_is_needed_through_others_comes_along_once(place: Path) -> None:
    write(place, "liba.so.1", "libb.so.2", "libc.so.6")
    write(place, "libb.so.2", "liba.so.1", "libd.so.4")
    write(place, "libd.so.4")
    write(place, "libnobody.so.1")
    libraries, left = followed(place, "liba.so.1", "libd.so.4", "libstdc++.so.6")
    assert libraries == ["liba.so.1", "libb.so.2", "libd.so.4"]
    assert set(left) == {"libc.so.6", "libstdc++.so.6"}
    assert "C library" in left["libc.so.6"]


def test_the_builds_own_libraries_are_the_runtime_wheels(place: Path) -> None:
    (place / "bin/libggml-base.so").write_bytes(shared())
    assert followed(place, "libggml-base.so") == ([], {})


def test_what_a_library_opens_by_itself_comes_along_under_the_name_it_uses(place: Path) -> None:
    write(place, "libamdhip64.so.6", strings=("libamd_comgr.so.3",))
    write(place, "libamd_comgr.so.2")
    write(place, "libamd_comgr.so.3", "libLLVM.so.21.1")
    write(place, "libLLVM.so.21.1")
    libraries, _ = followed(place, "libamdhip64.so.6")
    assert libraries == ["libLLVM.so.21.1", "libamd_comgr.so.3", "libamdhip64.so.6"]


def test_what_only_profilers_or_solvers_open_stays(place: Path) -> None:
    write(place, "libhipblas.so.2", strings=("librocsolver.so.0",))
    libraries, left = followed(place, "libhipblas.so.2")
    assert libraries == ["libhipblas.so.2"]
    assert "factorisations" in left["librocsolver.so.0"]


def test_data_folders_lie_beside_the_real_file(place: Path) -> None:
    (place / "vendor/real/rocblas/4/library").mkdir(parents=True)
    (place / "vendor/real/librocblas.so.4.4").write_bytes(shared())
    (place / "vendor/librocblas.so.4").symlink_to("real/librocblas.so.4.4")
    (place / "bin/libggml-hip.so").write_bytes(shared("librocblas.so.4"))
    found = closure(place / "bin/libggml-hip.so", place / "bin", [place / "vendor"])
    assert [(one.name, one.path, one.opened_by) for one in found.folders] == [
        ("rocblas", place / "vendor/real/rocblas", "librocblas.so.4")
    ]


@pytest.mark.parametrize(
    ("strings", "verb"), [((), "needs libgone.so.1"), (("libamd_comgr.so.3",), "opens libamd_comgr.so.3")]
)
def test_a_library_that_is_nowhere_is_named_with_who_wants_it(place: Path, strings: tuple[str, ...], verb: str) -> None:
    write(place, "libamdhip64.so.6", *(() if strings else ("libgone.so.1",)), strings=strings)
    with pytest.raises(BuildError) as caught:
        followed(place, "libamdhip64.so.6")
    assert f"libamdhip64.so.6 {verb}" in caught.value.what
    assert str(place / "vendor") in caught.value.why


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 900), value=st.integers(0, 255))
def test_a_damaged_library_is_an_error_of_ours_or_read(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.so"
    data = bytearray(shared("libc.so.6", "liba.so.1", soname="x.so"))
    data[position % len(data)] = value
    path.write_bytes(data)
    with contextlib.suppress(BuildError):
        assert all(isinstance(name, str) for name in needed(path))


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1, 1 << 32])
def test_a_table_that_lies_nowhere_is_damage(tmp_path: Path, offset: int) -> None:
    data = bytearray(shared("libc.so.6", soname="x.so"))
    table = int.from_bytes(data[40:48], "little")
    struct.pack_into("<Q", data, table + 64 + 24, offset)  # where .dynamic lies
    (tmp_path / "x.so").write_bytes(data)
    with pytest.raises(BuildError, match="no library that can be bundled"):
        needed(tmp_path / "x.so")


def test_every_row_says_why_and_where_from() -> None:
    assert outside("libcuda.so.1") is not None
    assert outside("libcublas.so.13") is None
    for soname in ("libamdhip64.so.6", "librocblas.so.4", "libhipblaslt.so.0", "libhipblas.so.2"):
        rows = opened_by(soname)
        assert rows
        assert all(row.reason and row.source and (row.libraries or row.folder) for row in rows)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.integers(0, 5), st.frozensets(st.integers(0, 5), max_size=3), max_size=6))
def test_the_set_is_closed_and_holds_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, graph: dict[int, frozenset[int]]
) -> None:
    place = tmp_path_factory.mktemp("graph")
    (place / "bin").mkdir()
    (place / "vendor").mkdir()
    for number in range(6):
        write(place, f"lib{number}.so", *(f"lib{one}.so" for one in graph.get(number, ())))
    libraries, _ = followed(place, "lib0.so")
    for name in libraries:
        assert set(needed(place / "vendor" / name)) <= set(libraries)
    wanted = {one for name in libraries for one in needed(place / "vendor" / name)} | {"lib0.so"}
    assert set(libraries) == wanted


@pytest.mark.parametrize("content", [b"INPUT(libreal.so.1)\n", b"\x7fELF\2\1\1", b""])
def test_what_is_no_library_is_said_so(place: Path, content: bytes) -> None:
    write(place, "libamdhip64.so.6", "libscript.so.1")
    (place / "vendor" / "libscript.so.1").write_bytes(content)
    with pytest.raises(BuildError, match=r"libscript\.so\.1 is no library"):
        followed(place, "libamdhip64.so.6")
