"""Precompiled headers are cut out of a library: what stays, what memory shows, and when nothing is done."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runtime_samples import linked

from buildtool.codeobj import elf
from buildtool.codeobj.view import open_view
from buildtool.errors import GpubuildError
from buildtool.runtime.closure import closure
from buildtool.runtime.hollow import hollow

PAGE = 4096
AHEAD = 0x1000  # the second segment's addresses run ahead of its offsets
DATA = PAGE  # where .data lies in the file


def header(words: int) -> bytes:
    """A header that clang compiled, as far as its blocks are concerned, and its length behind it."""
    blocks = b"".join(
        struct.pack("<II", 1 | number << 2 | 5 << 10, size) + b"\x5a" * 4 * size
        for number, size in [(8, 3), (19, words)]
    )
    whole = b"CPCH" + blocks
    return whole + struct.pack("<I", len(whole))


def library(*, room: int = 4, relocated: int = 0, before: bytes = b"first" * 3) -> bytes:
    """Two segments; the second holds data with two precompiled headers, and zeros that are not in the file."""
    data = before.ljust(32, b"\0") + header(5000)
    data = data.ljust(len(data) + -len(data) % 32, b"\0") + header(2000) + b"behind"
    labels = b"\0.text\0.data\0.bss\0.rela.dyn\0.shstrtab\0"
    text_at = 64 + (2 + room) * 56
    rela = struct.pack("<QQq", relocated, 8, 0)
    rows = [
        (1, 1, 2, text_at, text_at, 16, 0, 0, 1, 0), (7, 1, 3, DATA + AHEAD, DATA, len(data), 0, 0, 8, 0),
        (13, 8, 3, DATA + AHEAD + len(data), DATA + len(data), 64, 0, 0, 8, 0),
        (18, 4, 2, text_at + 16, text_at + 16, 24, 0, 0, 8, 24),
        (28, 3, 0, 0, DATA + len(data), len(labels), 0, 0, 1, 0),
    ]  # fmt: skip
    table = DATA + len(data) + len(labels)
    head = b"\x7fELF\2\1\1".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, table, 0, 64, 56, 2, 64, 6, 5)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, text_at + 40, text_at + 40, PAGE)
    head += struct.pack("<IIQQQQQQ", 1, 6, DATA, DATA + AHEAD, DATA + AHEAD, len(data), len(data) + 64, PAGE)
    body = head.ljust(text_at, b"\xee") + b"\xc3" * 16 + rela
    sections = bytes(64) + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
    return body.ljust(DATA, b"\0") + data + labels + sections


def memory(path: Path) -> bytes:
    """What a process sees of the second segment on, as the loader lays it out."""
    raw = path.read_bytes()
    with open_view(path) as view:
        parts = [part for part in elf.segments(view, elf.parse_header(raw[:64])) if part.flags & 2]
    start = parts[0].address
    seen = bytearray(parts[-1].address + parts[-1].memsz - start)
    for part in parts:
        at = part.address - start
        seen[at : at + part.filesz] = raw[part.offset : part.offset + part.filesz]
    return bytes(seen)


def test_whole_pages_go_and_nothing_else_moves_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "libamdhip64.so.6"
    path.write_bytes(library())
    before, size = memory(path), path.stat().st_size
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = hollow(path)
    assert record is not None
    assert (record.was_sha256, record.sha256) == (digest, hashlib.sha256(path.read_bytes()).hexdigest())
    gone = sum(part.bytes for part in record.gone)
    assert path.stat().st_size == size - gone
    assert [part.bytes // PAGE for part in record.gone] == [3, 1], "headers of 20 024 and 8 024 bytes"
    after = memory(path)
    assert len(after) == len(before)
    expected = bytearray(before)
    for part in record.gone:
        low = part.offset - DATA
        assert hashlib.sha256(expected[low : low + part.bytes]).hexdigest() == part.sha256
        expected[low : low + part.bytes] = bytes(part.bytes)
    assert after == bytes(expected)
    assert after.rstrip(b"\0").endswith(b"behind")
    with open_view(path) as view:
        names = {row.name: row for row in elf.sections(view)}
        loads = [part for part in elf.segments(view, elf.parse_header(view.peek(0, 64))) if part.type == elf.PT_LOAD]
    assert set(names) == {"", ".text", ".data", ".bss", ".rela.dyn", ".shstrtab"}
    assert len(loads) == 4
    assert all(part.offset % PAGE == part.address % PAGE for part in loads)
    assert [part.address for part in loads] == sorted(part.address for part in loads)
    assert hollow(path) is None, "there is nothing left to cut"


@pytest.mark.parametrize(
    "content",
    [library(room=1), linked("libc.so.6", soname="libamdhip64.so.6"), library().replace(b"CPCH", b"CPCX")],
    ids=["no room for more program headers", "no headers", "another content"],
)
def test_a_library_that_cannot_be_cut_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libamdhip64.so.6"
    path.write_bytes(content)
    assert hollow(path) is None
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_pages_that_the_loader_writes_into_stay(tmp_path: Path) -> None:
    path = tmp_path / "libamdhip64.so.6"
    path.write_bytes(library(relocated=DATA + AHEAD + 2 * PAGE))
    record = hollow(path)
    assert record is not None
    assert [part.bytes for part in record.gone] == [PAGE], "of the other header"


def test_a_header_that_lies_about_its_length_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.so"
    one = header(5000)
    lying = library().replace(one, one[:-4] + struct.pack("<I", len(one)))
    path.write_bytes(lying)
    record = hollow(path)
    assert record is not None
    assert len(record.gone) == 1


@pytest.mark.parametrize(("takes", "cut"), [(("hipMalloc",), True), (("__hipGetPCH",), False)])
def test_they_stay_where_another_library_asks_for_them(tmp_path: Path, takes: tuple[str, ...], *, cut: bool) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/libggml-hip.so").write_bytes(linked("libMIOpen.so.1", takes=("hipMalloc",)))
    (tmp_path / "libMIOpen.so.1").write_bytes(linked("libamdhip64.so.6", soname="libMIOpen.so.1", takes=takes))
    (tmp_path / "libamdhip64.so.6").write_bytes(linked(soname="libamdhip64.so.6", defines=("hipMalloc", "__hipGetPCH")))
    found = closure(tmp_path / "bin/libggml-hip.so", tmp_path / "bin", [tmp_path])
    assert found.hollow == (frozenset({"libamdhip64.so.6"}) if cut else frozenset())


def test_sections_that_lie_over_each_other_or_in_no_order_are_cut_once(tmp_path: Path) -> None:
    """The last section header before that of the labels (.rela.dyn) becomes one of data that holds everything."""
    plain, path = tmp_path / "plain.so", tmp_path / "x.so"
    plain.write_bytes(library())
    wanted = hollow(plain)
    assert wanted is not None
    for place in (-2, -4):  # behind .data in the table, and before it
        data = bytearray(library())
        whole = struct.pack("<IIQQQQIIQQ", 18, 1, 2, DATA + AHEAD, DATA, len(data) - DATA - 6 * 64, 0, 0, 1, 0)
        at = len(data) + place * 64
        data[at : at + 64] = whole
        path.write_bytes(data)
        record = hollow(path)
        assert record is not None
        assert [(part.offset, part.bytes) for part in record.gone] == [(one.offset, one.bytes) for one in wanted.gone]
        assert path.stat().st_size == len(data) - sum(part.bytes for part in record.gone)


@settings(max_examples=60, deadline=None)
@example(position=280, value=1, at_end=True)
@given(position=st.integers(0, 64 + 2 * 56 + 600), value=st.integers(0, 255), at_end=st.booleans())
def test_a_damaged_library_is_an_error_of_ours_or_whole(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, *, at_end: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.so"
    data = bytearray(library())
    data[-1 - position if at_end else position] = value
    path.write_bytes(data)
    try:
        record = hollow(path)
    except GpubuildError:
        record = None
    if record is None:
        assert path.read_bytes() == bytes(data)
    else:
        assert path.stat().st_size == len(data) - sum(part.bytes for part in record.gone)
