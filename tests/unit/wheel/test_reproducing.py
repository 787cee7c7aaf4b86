"""Comparing two wheels, and the plan that makes a wheel again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.codeobj.view import BytesView
from buildtool.compat.model import PlanSource, PlanWheel
from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.source.local import local_tree
from buildtool.wheel.again import again, role_of
from buildtool.wheel.comparing import compare, section_at

sys.path.insert(0, str(Path(__file__).parent))

from wheel_files import BACKEND, PLAN, RUNTIME, packed, rewritten


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(tmp_path_factory.mktemp("made"))


def test_a_wheel_is_the_same_as_its_copy(wheel: Path, tmp_path: Path) -> None:
    shutil.copy(wheel, tmp_path / "copy.whl")
    found = compare(wheel, tmp_path / "copy.whl")
    assert found.same
    assert found.first is None


def test_the_first_difference_is_in_the_code_not_in_what_follows_from_it(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        library = bytearray(archive.read("gpubuild_llama_cuda13/lib/libggml-base.so"))
    library[4000] ^= 1
    other = rewritten(wheel, tmp_path / wheel.name, {"libggml-base.so": bytes(library), "/RECORD": b"other\n"})
    found = compare(wheel, other)
    assert not found.same
    assert found.first is not None
    assert (found.first.file, found.first.offset) == ("gpubuild_llama_cuda13/lib/libggml-base.so", 4000)
    assert found.first.first.startswith("00")
    assert found.first.second.startswith("01")
    assert [name.rpartition("/")[2] for name in found.differing] == ["libggml-base.so", "RECORD"]


def test_text_is_shown_by_its_line(wheel: Path, tmp_path: Path) -> None:
    other = rewritten(wheel, tmp_path / wheel.name, {"__init__.py": b"DISTRIBUTION = 2\n"})
    first = compare(wheel, other).first
    assert first is not None
    assert (first.line, first.first, first.second) == (1, "DISTRIBUTION = 1", "DISTRIBUTION = 2")


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"__init__.py": None}, "missing"), ({"gpubuild_llama_cuda13/new.py": b""}, "added")],
)
def test_a_file_of_one_wheel_only_is_told(
    wheel: Path, tmp_path: Path, change: dict[str, bytes | None], kind: str
) -> None:
    first = compare(wheel, rewritten(wheel, tmp_path / wheel.name, change)).first
    assert first is not None
    assert first.kind == kind


def test_a_mode_is_a_difference(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith(".so"):
                info.external_attr = 0o100644 << 16
            new.writestr(info, data)
    first = compare(wheel, other).first
    assert first is not None
    assert (first.kind, first.first, first.second) == ("mode", "100755", "100644")


def test_another_compression_is_told_apart_from_other_content(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            info.compress_type = zipfile.ZIP_STORED
            new.writestr(info, data)
    found = compare(wheel, other)
    assert not found.same
    assert found.first is None


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_offset_is_where_two_contents_part(one: bytes, two: bytes) -> None:
    import io

    from buildtool.wheel.comparing import _first_offset

    archives = []
    for data in (one, two):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("x", data)
        archives.append(zipfile.ZipFile(stream))
    offset = _first_offset(archives[0], archives[1], "x")
    if offset is None:
        assert one == two
    else:
        assert one[:offset] == two[:offset]
        assert one[offset : offset + 1] != two[offset : offset + 1]


def test_the_section_of_an_offset_is_named() -> None:
    binary = Path(sys.executable).resolve().read_bytes()
    if not binary.startswith(b"\x7fELF"):
        pytest.skip("no ELF system")
    from elftools.elf.elffile import ELFFile

    with Path(sys.executable).resolve().open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".text")
        place = section["sh_offset"] + 5
    assert section_at(BytesView(binary), place) == ".text"
    assert section_at(BytesView(binary), 0) == ""
    assert section_at(BytesView(b"text"), 0) == ""
    assert section_at(BytesView(binary[:80]), 5) == ""


def test_of_two_wheels_the_damaged_one_is_named(wheel: Path, tmp_path: Path) -> None:
    broken = tmp_path / f"broken-{wheel.name}"
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        inside = next(info for info in archive.infolist() if info.filename.endswith("libggml-base.so"))
    start = inside.header_offset + 30 + len(inside.filename)
    data[start : start + inside.compress_size] = b"\xff" * inside.compress_size
    broken.write_bytes(data)
    for pair in ((broken, wheel), (wheel, broken)):
        with pytest.raises(IntegrityError, match=r"broken-.* is damaged"):
            compare(*pair)


def test_files_are_not_held_whole_in_memory(tmp_path: Path) -> None:
    """A wheel from a stranger may claim any size."""
    import tracemalloc

    pair = []
    for name, last in (("a", b"1"), ("b", b"2")):
        path = tmp_path / f"{name}-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("a.so", "w") as stream:
                stream.write(b"\x7fELF" + bytes(60))
                for _ in range(40):
                    stream.write(bytes(1 << 20))
                stream.write(last)
            archive.writestr("a-1.dist-info/RECORD", "")
        pair.append(path)
    tracemalloc.start()
    try:
        first = compare(*pair).first
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert first is not None
    assert (first.offset, first.first, first.second) == (64 + (40 << 20), "31", "32")
    assert peak < 30 << 20


def test_the_plan_of_a_wheel_builds_it_again(wheel: Path, tmp_path: Path) -> None:
    assert again(wheel).digest() == PLAN.digest()
    assert role_of(wheel) == "backend"
    assert role_of(packed(tmp_path, RUNTIME)) == "runtime"
    with pytest.raises(InvalidInputError, match="not built from a local tree"):
        again(wheel, tmp_path)
    with pytest.raises(InvalidInputError, match="other wheels"):
        role_of(Path(shutil.copy(wheel, tmp_path / "renamed-1-py3-none-any.whl")))


def test_a_wheel_of_a_local_tree_wants_that_tree(tmp_path: Path) -> None:
    tree = tmp_path / "llama.cpp"
    tree.mkdir()
    (tree / "CMakeLists.txt").write_text("project(x)\n")
    suffix = f".h{local_tree(str(tree), '').digest[:8]}"
    wheels = tuple(msgspec.structs.replace(one, version=one.version + suffix) for one in (RUNTIME, BACKEND))
    source = PlanSource(kind="local", name=str(tree), version="0.6.0", url=str(tree))
    plan = msgspec.structs.replace(PLAN, source=source, wheels=wheels)
    backend: PlanWheel = wheels[1]
    made = packed(tmp_path / "dist", backend, plan=plan)
    with pytest.raises(InvalidInputError, match="which the wheel does not hold"):
        again(made)
    assert again(made, tree).source.url == str(tree)
    (tree / "CMakeLists.txt").write_text("project(y)\n")
    with pytest.raises(IntegrityError, match="not the tree"):
        again(made, tree)


def test_the_command_answers_with_its_exit_code(wheel: Path, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", "from buildtool.cli.main import main; main()", "reproduce", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    copy = Path(shutil.copy(wheel, tmp_path / "copy.whl"))
    same = run(str(wheel), "--with", str(copy))
    assert same.returncode == 0
    assert "the same bytes" in same.stdout
    older = packed(tmp_path / "b", plan=msgspec.structs.replace(PLAN, profile="native"))
    differs = run(str(wheel), "--with", str(older))
    assert differs.returncode == 20
    assert "gpubuild.lock" in differs.stderr
    assert "line " in differs.stderr
