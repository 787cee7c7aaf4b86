"""Kernel names, toolkits, and the rarer containers."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from codeobj_samples import (
    FIXTURES,
    bundle,
    ccob,
    code_object,
    dll,
    hip_id,
    kpack,
    library,
    metadata_note,
    offload_binary,
    packed_kpack,
    spirv,
)
from hypothesis import given
from hypothesis import strategies as st

from buildtool.codeobj import Image, inspect, judge, lz4
from buildtool.codeobj import spirv as spirv_module
from buildtool.codeobj.view import DamagedError
from buildtool.errors import InvalidInputError

OBJECT = library({".note": metadata_note(["gemm", "axpy"])}, machine=224, flags=0x38)


def images(path: Path, *, kernels: bool = False) -> tuple[Image, ...]:
    (file,) = inspect(path, kernels=kernels).files
    return file.images


@pytest.mark.parametrize(
    ("name", "kernels"),
    [("targets.fatbin", {("scale",)}), ("zstd.fatbin", {("series64",)}), ("lz4.fatbin", {("series64",)})],
)
def test_nvidia_kernels(name: str, kernels: set[tuple[str, ...]]) -> None:
    assert {image.kernels for image in images(FIXTURES / name, kernels=True)} == kernels


def test_the_toolkit_of_a_cubin() -> None:
    assert {image.toolkit for image in images(FIXTURES / "targets.fatbin", kernels=True) if image.kind == "cubin"} == {
        "13.0"
    }


def test_kernels_are_not_listed_unasked() -> None:
    assert {image.kernels for image in images(FIXTURES / "targets.fatbin")} == {()}


def test_a_code_object_linked_of_several_names_the_kernels_of_all(tmp_path: Path) -> None:
    notes = metadata_note(["gemm", "axpy"]) + metadata_note(["gemm"]) + metadata_note(["scal"])
    (tmp_path / "x.co").write_bytes(library({".note": notes}, machine=224, flags=0x38))
    (image,) = images(tmp_path / "x.co", kernels=True)
    assert image.kernels == ("gemm", "axpy", "scal")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_amd_kernels_in_plain_and_compressed_bundles(tmp_path: Path, version: int) -> None:
    plain = bundle([(hip_id("gfx1032"), OBJECT)])
    for name, data in {"plain": plain, "packed": ccob(plain, version, "zstd")}.items():
        (tmp_path / name).write_bytes(library({".hip_fatbin": data}))
        (image,) = images(tmp_path / name, kernels=True)
        assert image.kernels == ("gemm", "axpy")


def test_a_damaged_note_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(
        library({".hip_fatbin": bundle([(hip_id("gfx1032"), OBJECT.replace(b"\xa5.name", b"\xc1.name"))])})
    )
    result = inspect(tmp_path / "x.so", kernels=True)
    assert "metadata" in result.problems[0].what
    assert result.targets == ("gfx1032",)


def test_kernel_archives(tmp_path: Path) -> None:
    data = kpack("lib/librand.so", {"gfx1032": code_object(0x38), "gfx90a:xnack-": code_object(0x3F, 2)})
    (tmp_path / "rand.kpack").write_bytes(data)
    found = images(tmp_path / "rand.kpack")
    assert [(image.target, image.bundle_id) for image in found] == [
        ("gfx1032", "lib/librand.so"),
        ("gfx90a:xnack-", "lib/librand.so"),
    ]
    assert all(data[image.offset : image.offset + 4] == b"\x7fELF" for image in found)


def test_compressed_kernel_archives(tmp_path: Path) -> None:
    data = packed_kpack("lib/librand.so", {"gfx900": code_object(0x2C), "gfx1032": OBJECT})
    (tmp_path / "rand.kpack").write_bytes(data)
    first, second = images(tmp_path / "rand.kpack", kernels=True)
    assert (first.target, second.target) == ("gfx900", "gfx1032")
    assert (second.compression, second.unpacked_bytes, second.kernels) == ("zstd", len(OBJECT), ("gemm", "axpy"))
    assert data[second.offset :].startswith(b"\x28\xb5\x2f\xfd")


@pytest.mark.parametrize(("at", "value"), [(64, 1 << 31), (64, 3), (68, 1 << 20)])
def test_a_kernel_archive_that_lies_about_its_frames(tmp_path: Path, at: int, value: int) -> None:
    data = bytearray(packed_kpack("lib", {"gfx1032": OBJECT}))
    struct.pack_into("<I", data, at, value)
    (tmp_path / "x.kpack").write_bytes(data)
    with pytest.raises(InvalidInputError):
        inspect(tmp_path / "x.kpack")


@pytest.mark.parametrize("place", [".llvm.offloading", None])
def test_offload_binaries(tmp_path: Path, place: str | None) -> None:
    binary = offload_binary("gfx1032", code_object(0x38))
    data = binary if place is None else library({place: binary + offload_binary("gfx90a", code_object(0x3F))})
    (tmp_path / "x").write_bytes(data)
    found = images(tmp_path / "x")
    assert [(image.kind, image.target) for image in found][:1] == [("hsaco", "gfx1032")]
    assert len(found) == (1 if place is None else 2)
    assert data[found[0].offset : found[0].offset + 4] == b"\x7fELF"


@pytest.mark.parametrize("make", [library, dll])
def test_shaders_in_plain_data(tmp_path: Path, make: object) -> None:
    (tmp_path / "x").write_bytes(make({".rodata": spirv() + spirv(0x10300) + bytes(64)}))  # type: ignore[operator]
    assert [(image.kind, image.target, image.bytes) for image in images(tmp_path / "x")] == [
        ("spirv", "spirv1.5", len(spirv())),
        ("spirv", "spirv1.3", len(spirv())),
    ]


def test_tensile_tables_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "TensileLibrary_lazy_gfx1032.dat").write_bytes(b"\x82rest")
    (tmp_path / "TensileLibrary_Type_SS_fallback.dat").write_bytes(b"\x82rest")
    (tmp_path / "notes_gfx1032.dat").write_bytes(b"\x82rest")
    (file,) = inspect(tmp_path).files
    assert (file.format, file.images[0].target) == ("tensile", "gfx1032")


def lz4_block(data: bytes) -> bytes:
    """All literals: the simplest valid block."""
    length, out = len(data), b""
    if length < 15:
        return bytes([length << 4]) + data
    rest = length - 15
    while rest >= 255:
        out, rest = out + b"\xff", rest - 255
    return b"\xf0" + out + bytes([rest]) + data


@given(st.binary(min_size=1, max_size=2000))
def test_literals_round_trip(data: bytes) -> None:
    assert lz4.decode(lz4_block(data), len(data)) == data


def test_overlapping_matches_repeat() -> None:
    assert lz4.decode(bytes([0x1F, ord("a"), 1, 0, 5]), 25) == b"a" * 25


@given(st.binary(max_size=200), st.integers(0, 4000))
def test_any_block_is_right_or_refused(data: bytes, size: int) -> None:
    with contextlib.suppress(DamagedError):
        assert len(lz4.decode(data, size)) == size


def test_a_target_of_thousands_of_digits_is_no_crash(tmp_path: Path) -> None:
    target = "sm_" + "9" * 5000
    (tmp_path / "x.kpack").write_bytes(kpack("lib", {target: code_object(0x38), "gfx1032": code_object(0x38)}))
    found = inspect(tmp_path / "x.kpack")
    assert found.targets == ("gfx1032", target)
    assert judge(found, "sm_90").verdicts[0].answer == "no"


def test_entries_that_share_one_long_string_take_no_memory(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(offload_binary("a" * 4000, code_object(0x38)))
    assert [len(image.target) for image in images(tmp_path / "x")] == [256]


def false_modules(count: int, length: int) -> bytes:
    """SPIR-V headers that are followed by instructions, over each other, and by no end of a function."""
    one = struct.pack("<IIIII", 0x07230203, 0x10500, 0, 8, 0) + struct.pack("<I", 6 << 16 | 17)
    return one * count + struct.pack("<I", 1 << 16 | 17) * length


def test_false_hits_cost_no_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(library({".rodata": false_modules(200, 1 << 16) + spirv()}))
    monkeypatch.setattr("buildtool.codeobj.search.MAX_WASTED", 2 << 20)
    walked: list[int] = []
    real = spirv_module._length
    monkeypatch.setattr(spirv_module, "_length", lambda view, at: walked.append(at) or real(view, at))
    assert inspect(tmp_path / "x").scanned == 1
    assert 4 < len(walked) < 20
