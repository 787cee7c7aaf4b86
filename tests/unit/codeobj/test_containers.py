"""Archives, packages, directories, and input that is not what it seems."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from codeobj_samples import FIXTURES, HOST_ID, bundle, ccob, code_object, hip_id, library
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.codeobj import containers, inspect, targets_of
from buildtool.codeobj.reader import _Collector
from buildtool.codeobj.view import BytesView
from buildtool.errors import InvalidInputError

FAT = (FIXTURES / "targets.fatbin").read_bytes()
EXPECTED = targets_of(FIXTURES / "targets.fatbin")
LIBRARY = library({".text": bytes(4096), ".nv_fatbin": FAT})


def ar(members: dict[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += (
            f"{name + '/':<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    return out


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_wheels_are_read_without_unpacking(tmp_path: Path, method: int) -> None:
    wheel = tmp_path / "some-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("some/lib.so", LIBRARY)
        archive.writestr("some/__init__.py", "")
        archive.writestr("some/readme.txt", "nothing")
    result = inspect(wheel)
    assert result.targets == EXPECTED
    assert [file.path for file in result.files] == [f"{wheel}!some/lib.so"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_tar_archives(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"some.tar{mode[1:].replace(':', '.')}"
    path.write_bytes(tar({"./some/lib.so": LIBRARY, "note": b"x"}, mode))
    result = inspect(path)
    assert [(file.path, len(file.images)) for file in result.files] == [(f"{path}!some/lib.so", 7)]


def test_debian_packages(tmp_path: Path) -> None:
    path = tmp_path / "some.deb"
    path.write_bytes(ar({"debian-binary": b"2.0\n", "data.tar.xz": lzma.compress(tar({"./usr/lib/lib.so": LIBRARY}))}))
    (file,) = inspect(path).files
    assert file.path == f"{path}!data.tar.xz!usr/lib/lib.so"


def test_static_libraries(tmp_path: Path) -> None:
    (tmp_path / "lib.a").write_bytes(ar({"one.o": (FIXTURES / "linux.o").read_bytes(), "two.o": LIBRARY}))
    assert [len(file.images) for file in inspect(tmp_path / "lib.a").files] == [2, 7]


def test_directories_are_walked_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "lib.so.1").write_bytes(LIBRARY)
    (tmp_path / "sub" / "lib.so").symlink_to("lib.so.1")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "empty").touch()
    result = inspect(tmp_path)
    assert [file.path for file in result.files] == [str(tmp_path / "sub" / "lib.so.1")]
    assert result.problems == ()


def test_no_device_code_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(library({".text": b"x"}))
    (tmp_path / "words.txt").write_text("words")
    assert inspect(tmp_path / "lib.so").files == ()
    assert inspect(tmp_path / "words.txt").scanned == 1


def test_big_endian_libraries_are_read(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(library({".text": b"x"}, order=">"))
    assert inspect(tmp_path / "lib.so").problems == ()


@pytest.mark.parametrize("name", ["missing", "empty", "cut-elf", "cut-fatbin", "cut-wheel"])
def test_damaged_input_is_refused_in_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = {"empty": b"", "cut-elf": LIBRARY[:5000], "cut-fatbin": FAT[:900], "cut-wheel": b"PK\3\4" + bytes(90)}
    if name in content:
        path.write_bytes(content[name])
    with pytest.raises(InvalidInputError):
        inspect(path)


def test_one_damaged_member_does_not_hide_the_others(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("cut.so", LIBRARY[:5000])
        archive.writestr("good.so", LIBRARY)
    result = inspect(wheel)
    assert result.targets == EXPECTED
    assert [problem.path for problem in result.problems] == [f"{wheel}!cut.so"]


def test_a_damaged_zip_member_does_not_hide_the_others(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.so", LIBRARY)
        archive.writestr("second.so", LIBRARY)
    data = bytearray(wheel.read_bytes())
    data[30:38] = b"\xf3\xfe\xb8\xdf\xe7\xfd\xf3\xfe"  # the member's own header no longer agrees with the index
    wheel.write_bytes(data)
    result = inspect(wheel)
    assert [file.path for file in result.files] == [f"{wheel}!second.so"]
    assert [problem.path for problem in result.problems] == [f"{wheel}!first.so"]


def test_a_compressed_text_beside_a_tar_archive_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    path.write_bytes(tar({"doc/NEWS.gz": gzip.compress(b"words"), "lib.so": LIBRARY}))
    assert inspect(path).problems == ()


def test_a_size_bomb_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "FREE_SIZE", 1 << 20)
    bomb = tmp_path / "bomb.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.so", "w") as member:
        for _ in range(3):
            member.write(bytes(1 << 20))
    with pytest.raises(InvalidInputError, match=r"bomb\.whl"):
        inspect(bomb)


CORPUS = [
    LIBRARY,
    FAT,
    library({".hip_fatbin": bundle([(HOST_ID, b""), (hip_id("gfx1032"), code_object(0x38))])}),
    ccob(bundle([(hip_id("gfx1032"), code_object(0x38))]), 2, "zstd"),
    ccob(bundle([(hip_id("gfx1032"), code_object(0x38))]), 3, "zlib"),
    ar({"one.o": LIBRARY}),
    zipped({"one.so": LIBRARY, "two.so": FAT}),
    tar({"one.so": LIBRARY}),
]


@settings(max_examples=120, deadline=None)
@given(
    seed=st.sampled_from(CORPUS),
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.integers(0, 1 << 16),
)
def test_no_input_is_a_crash(seed: bytes, edits: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(seed)
    for at, patch in edits:
        start = at % len(data)
        data[start : start + len(patch)] = patch
    collector = _Collector()
    collector.visit(BytesView(bytes(data[: len(data) - cut % len(data)])), "some.tar")
    for file in collector.files:
        for image in file.images:
            assert image.bytes >= 0
