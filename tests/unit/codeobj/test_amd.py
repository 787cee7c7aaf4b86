"""AMDGPU code objects and offload bundles."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from codeobj_samples import HOST_ID, bundle, ccob, code_object, dll, hip_id, library

from buildtool.codeobj import amdgpu, inspect, targets_of
from buildtool.codeobj.bundle import images, split_id
from buildtool.codeobj.view import BytesView, DamagedError

GFX1032, GFX90A, GFX10_3 = 0x38, 0x3F, 0x53
PLAIN = bundle(
    [(HOST_ID, b""), (hip_id("gfx1032"), code_object(GFX1032)), (hip_id("gfx90a:xnack-"), code_object(GFX90A, 2))]
)


@pytest.mark.parametrize(
    ("mach", "features", "version", "target"),
    [
        (GFX1032, 0, 5, "gfx1032"),
        (GFX90A, 0b0101, 4, "gfx90a"),
        (GFX90A, 0b0010, 5, "gfx90a:xnack-"),
        (GFX90A, 0b1111, 5, "gfx90a:sramecc+:xnack+"),
        (GFX90A, 0b1001, 5, "gfx90a:sramecc-"),
        (0x30, 0b01, 3, "gfx908:xnack+"),
        (GFX10_3, 0, 6, "gfx10-3-generic"),
    ],
)
def test_a_code_object_says_its_target(tmp_path: Path, mach: int, features: int, version: int, target: str) -> None:
    (tmp_path / "kernel.hsaco").write_bytes(code_object(mach, features, version=version, generic=version == 6))
    (file,) = inspect(tmp_path / "kernel.hsaco").files
    (image,) = file.images
    assert (image.kind, image.target, image.code_object_version) == ("hsaco", target, version)
    assert image.generic_version == (1 if version == 6 else None)


def test_an_unknown_processor_has_no_target(tmp_path: Path) -> None:
    (tmp_path / "kernel.hsaco").write_bytes(code_object(0xFE))
    assert targets_of(tmp_path / "kernel.hsaco") == ()


def test_the_machine_table_is_sound() -> None:
    machines = amdgpu.machines()
    assert machines[0x36] == "gfx1030"
    assert len(set(machines.values())) == len(machines)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hipv4-amdgcn-amd-amdhsa--gfx90a:xnack+:sramecc-", ("hsaco", "gfx90a:sramecc-:xnack+")),
        ("hipv4-amdgcn-amd-amdhsa--gfx10-3-generic", ("hsaco", "gfx10-3-generic")),
        ("hip-amdgcn-amd-amdhsa-gfx900", ("hsaco", "gfx900")),
        ("openmp-nvptx64-nvidia-cuda--sm_80", ("cubin", "sm_80")),
        ("hip-spirv64-amd-amdhsa--amdgcnspirv", ("spirv", "amdgcnspirv")),
        ("nonsense", ("hsaco", "")),
    ],
)
def test_entry_ids(name: str, expected: tuple[str, str]) -> None:
    assert split_id(name) == expected


@pytest.mark.parametrize("make", [library, dll])
def test_bundles_in_libraries(tmp_path: Path, make: object) -> None:
    two = PLAIN + bytes(-len(PLAIN) % 4096) + PLAIN
    (tmp_path / "lib").write_bytes(make({".hip_fatbin": two}))  # type: ignore[operator]
    (file,) = inspect(tmp_path / "lib").files
    assert [image.target for image in file.images] == ["gfx1032", "gfx90a:xnack-"] * 2
    data = (tmp_path / "lib").read_bytes()
    assert all(data[image.offset : image.offset + 4] == b"\x7fELF" for image in file.images)


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_compressed_bundles(tmp_path: Path, version: int, method: str) -> None:
    packed = ccob(PLAIN, version, method)
    section = packed + bytes(-len(packed) % 4096) + packed
    (tmp_path / "lib.so").write_bytes(library({".hip_fatbin": section}))
    (file,) = inspect(tmp_path / "lib.so").files
    assert [image.target for image in file.images] == ["gfx1032", "gfx90a:xnack-"] * 2
    assert {image.compression for image in file.images} == {method}
    assert {image.container for image in file.images} == {"ccob"}


def test_a_bundle_of_nothing_does_not_hold_up_the_walk(tmp_path: Path) -> None:
    empty = bytearray(bundle([(hip_id("gfx1030"), b"x")]))
    empty[32:48] = bytes(16)  # offset 0, size 0
    (tmp_path / "lib.so").write_bytes(library({".hip_fatbin": bytes(empty) + PLAIN}))
    assert targets_of(tmp_path / "lib.so") == ("gfx90a:xnack-", "gfx1032")


class Counted(BytesView):
    """A view that counts the bytes that are read of it."""

    taken = 0

    def peek(self, offset: int, length: int) -> bytes:
        data = super().peek(offset, length)
        self.taken += len(data)
        return data


def test_many_bundles_with_odd_bytes_between_are_read_once() -> None:
    view = Counted((ccob(bundle([(HOST_ID, b"")]), 2, "zlib") + b"odd") * 4000)
    assert list(images(view, 0, view.size)) == []
    assert view.taken < 400 * view.size  # their padding is looked for in 16 KiB


def test_bundles_that_claim_endless_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 4096) + struct.pack("<QQQ", 0, 1, 0) * 4096
    view = BytesView(ccob(directory, 2, "zstd") * 3)
    assert len(list(images(view, 0, view.size))) == 3 * 4096
    monkeypatch.setattr("buildtool.codeobj.bundle.MAX_IMAGES", 8192)
    with pytest.raises(DamagedError, match="more than 8192 entries"):
        list(images(view, 0, view.size))
