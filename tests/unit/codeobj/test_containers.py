"""Archives, packages, directories, and input that is not what it seems."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import lzma
import os
import re
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from codeobj_archives import ar, archives, tar, zipped
from codeobj_samples import FIXTURES, HOST_ID, bundle, ccob, code_object, dll, elf64, hip_id, library
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.codeobj import codec, containers, inspect, retarget, targets_of
from buildtool.codeobj.reader import _Collector
from buildtool.codeobj.tensile import is_table
from buildtool.codeobj.view import BytesView, DamagedError
from buildtool.errors import InvalidInputError, StorageError

FAT = (FIXTURES / "targets.fatbin").read_bytes()
EXPECTED = targets_of(FIXTURES / "targets.fatbin")
LIBRARY = library({".text": bytes(4096), ".nv_fatbin": FAT})


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


@pytest.mark.parametrize("name", ["stored.zip", "x.whl", "x.tar", "x.tar.gz", "x.tar.zst", "x.deb", "x.a"])
def test_every_archive_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(archives({"lib/x.so": LIBRARY, "y.fatbin": FAT})[name])
    result = inspect(tmp_path / name)
    assert [(re.split("[!/]", file.path)[-1], len(file.images)) for file in result.files] == [
        ("x.so", 7),
        ("y.fatbin", 7),
    ]
    assert result.problems == ()


def test_archives_in_archives(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar({"inner.zip": zipped({"lib.a": ar({"x.o": LIBRARY})})}))
    (file,) = inspect(tmp_path / "x.tar").files
    assert file.path.endswith("x.tar!inner.zip!lib.a!x.o")


def test_an_encrypted_member_is_a_problem(tmp_path: Path) -> None:
    data = bytearray(zipped({"secret.so": LIBRARY, "open.so": LIBRARY}))
    data[6] |= 1  # the flag in the member's own header and in the index
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.whl").write_bytes(data)
    result = inspect(tmp_path / "x.whl")
    assert [problem.path for problem in result.problems] == [f"{tmp_path / 'x.whl'}!secret.so"]
    assert result.targets == EXPECTED


def test_directories_are_walked_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "lib.so.1").write_bytes(LIBRARY)
    (tmp_path / "sub" / "lib.so").symlink_to("lib.so.1")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "empty").touch()
    result = inspect(tmp_path)
    assert [file.path for file in result.files] == [str(tmp_path / "sub" / "lib.so.1")]
    assert result.problems == ()


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "lib.so").write_bytes(LIBRARY)
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("closed"):  # root may read everything
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = inspect(tmp_path)
    assert found.targets == EXPECTED
    assert [(problem.path, problem.what) for problem in found.problems] == [
        (str(tmp_path / "closed"), "Permission denied")
    ]


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


ZEROS = bytes(3 << 20)
BOMBS = {
    "member.whl": zipped({"zeros.so": ZEROS}),
    "member.tar.gz": tar({"zeros.so": ZEROS}, "w:gz"),
    "names.tar.xz": tar({"n" * (2 << 20): b"x"}, "w:xz"),
    "small.whl": zipped({f"{number}.so": ZEROS[: 1 << 19] for number in range(3)}),
    "nested.zip": zipped({"one.zip": zipped({f"{number}.so": ZEROS[: 1 << 19] for number in range(3)})}),
    "beside.tar.bz2": tar({"folder/": b"", "zeros.txt": ZEROS}, "w:bz2"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_size_bomb_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(codec, "FREE_UNPACKED", 1 << 20)
    (tmp_path / name).write_bytes(BOMBS[name])
    result = None
    with contextlib.suppress(InvalidInputError):
        result = inspect(tmp_path / name)
    assert result is None or result.problems


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_compressed_bundle_with_a_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, method: str
) -> None:
    monkeypatch.setattr(codec, "FREE_UNPACKED", 1 << 20)
    bomb = ccob(bundle([(hip_id("gfx1030"), code_object(0x36) + ZEROS)]), version, method)
    (tmp_path / "lib.so").write_bytes(library({".hip_fatbin": bomb}))
    with pytest.raises(InvalidInputError):
        inspect(tmp_path / "lib.so")
    for words in ({"thinned": False}, {"thinned": True}):
        with pytest.raises(DamagedError):
            retarget(tmp_path / "lib.so", "gfx1030", "gfx1032", tmp_path / "out", **words)
    assert {path.name for path in tmp_path.iterdir()} == {"lib.so"}


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


def test_a_full_disk_is_not_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "big.tar.gz"
    path.write_bytes(tar({"a.so": LIBRARY}, "w:gz"))
    monkeypatch.setattr(containers, "IN_MEMORY", 16)
    monkeypatch.setattr(containers.tempfile, "TemporaryFile", lambda **_where: Full())
    with pytest.raises(StorageError, match="The disk is full") as told:
        inspect(path)
    assert "TMPDIR" in told.value.hint


@pytest.mark.parametrize("kernels", [False, True])
def test_names_that_share_one_huge_string_take_no_memory(tmp_path: Path, *, kernels: bool) -> None:
    """Thirty thousand sections, or symbols, each called by another tail of four megabytes."""
    path = tmp_path / "x.so"
    path.write_bytes(overlapping_symbols() if kernels else overlapping_sections())
    tracemalloc.start()
    began = time.process_time()
    try:
        with contextlib.suppress(InvalidInputError):
            inspect(path, kernels=kernels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 << 20
    assert time.process_time() - began < 20


def overlapping_sections(count: int = 30_000, length: int = 4 << 20) -> bytes:
    names = b"\0" + b"a" * length + b"\0"
    rows = [struct.pack("<IIQQQQIIQQ", 1 + number, 1, 0, 0, 64, 0, 0, 0, 1, 0) for number in range(count)]
    rows.append(struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 64, len(names), 0, 0, 1, 0))
    head = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(names), 0, 64, 56, 0, 64, len(rows), len(rows) - 1)
    return elf64(62)[:16] + head + names + b"".join(rows)


def overlapping_symbols(count: int = 30_000, length: int = 4 << 20) -> bytes:
    names = b"\0" + b"a" * length + b".kd\0"
    symbols = b"".join(struct.pack("<IBBHQQ", 1 + number, 0, 0, 0, 0, 0) for number in range(count))
    rows = [
        struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, 64, len(symbols), 2, 0, 8, 24),
        struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, 64 + len(symbols), len(names), 0, 0, 1, 0),
    ]
    at = 64 + len(symbols) + len(names)
    head = struct.pack("<HHIQQQIHHHHHH", 3, 224, 1, 0, 0, at, 0x36, 64, 56, 0, 64, len(rows), 0)
    return elf64(224, osabi=64, abiversion=3)[:16] + head + symbols + names + b"".join(rows)


def long_names(count: int, length: int) -> bytes:
    """A static library whose damaged members are called by the tails of one string."""
    names = b"a" * length
    out = b"!<arch>\n" + b"%-48s%-10d`\n" % (b"//", length) + names
    for number in range(count):
        out += b"%-48s%-10d`\n" % (b"/%d" % number, 4) + b"\x7fELF"
    return out


def attributes(text: bytes, kind: bytes) -> bytes:
    """A tar header with attributes, and what is in it."""
    return tarred(b"attributes", text, kind) + text + bytes(-len(text) % 512)


def tarred(name: bytes, data: bytes, kind: bytes = b"0") -> bytes:
    """The header of a tar member."""
    head = bytearray(name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(data))
    head += b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar\0" + b"00"
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head.ljust(512, b"\0"))


def record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    while len(str(size)) + len(key) + len(value) + 3 != size:
        size = len(str(size)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (size, key, value)


DAMAGED = tarred(b"x", b"\x7fELF") + b"\x7fELF".ljust(512, b"\0")
SHARED_NAMES = {
    "x.a": long_names(400, 1 << 20),
    "x.tar": attributes(record(b"path", b"p" * (1 << 19)), b"g") + DAMAGED * 400 + bytes(1024),
}


@pytest.mark.parametrize("name", SHARED_NAMES)
def test_members_that_share_one_huge_name_take_no_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SHARED_NAMES[name])
    tracemalloc.start()
    try:
        found = inspect(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.problems) == 400
    assert peak < 100 << 20


def many_attributes(count: int) -> bytes:
    return b"".join(record(b"k%07d" % number, b"") for number in range(count))


TAR_ATTRIBUTES = {
    "for all members": attributes(many_attributes(20_000), b"g") + DAMAGED * 400,
    "inside each other": attributes(many_attributes(20_000), b"x") * 100 + DAMAGED,
}


@pytest.mark.parametrize("name", TAR_ATTRIBUTES)
def test_a_tar_archive_of_attributes_takes_no_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.tar").write_bytes(TAR_ATTRIBUTES[name] + bytes(1024))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="cannot be read") as told:
            inspect(tmp_path / "x.tar")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "tar archive has" in told.value.why
    assert peak < 150 << 20


def test_a_member_whose_name_is_no_utf8_has_a_name_that_can_be_written(tmp_path: Path) -> None:
    data = tarred(b"lib\xe9.fatbin", FAT) + FAT + bytes(-len(FAT) % 512) + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    (file,) = inspect(tmp_path / "x.tar").files
    assert file.path == f"{tmp_path / 'x.tar'}!lib\ufffd.fatbin"
    assert msgspec.json.encode(file)


@pytest.mark.parametrize("make", [library, dll])
def test_sections_that_share_their_bytes_are_refused(tmp_path: Path, make: Callable[[dict[str, bytes]], bytes]) -> None:
    """A hundred sections, each of the same fat binary: each of its images would be told a hundred times."""
    data = bytearray(make({".nv_fatb": FAT} | {f".x{number:03}": b"x" for number in range(100)}))
    if make is library:
        (table,) = struct.unpack_from("<Q", data, 40)
        for row in range(2, 102):
            data[table + 64 * row : table + 64 * row + 64] = data[table + 64 : table + 128]
    else:
        table = 64 + 24
        for row in range(1, 101):
            data[table + 40 * row : table + 40 * row + 40] = data[table : table + 40]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InvalidInputError) as told:
        inspect(tmp_path / "x")
    assert "share their bytes" in told.value.why


def test_a_table_with_an_endless_name_costs_no_time() -> None:
    name = "x.whl!" + "Tensile_gfx0" * 1200
    began = time.process_time()
    assert not is_table(b"\x82", name)
    assert is_table(b"\x82", f"{name}.dat")
    assert time.process_time() - began < 2
