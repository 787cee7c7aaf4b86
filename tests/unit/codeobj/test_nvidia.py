"""Fat binaries and cubins made by nvcc 13.0."""

from __future__ import annotations

from pathlib import Path

import pytest
from codeobj_samples import FIXTURES, dll, library

from buildtool.codeobj import inspect, targets_of


def kinds(path: Path) -> list[tuple[str, str]]:
    (file,) = inspect(path).files
    return [(image.kind, image.target) for image in file.images]


def test_every_target_of_a_fat_binary_is_named_with_its_suffix() -> None:
    assert kinds(FIXTURES / "targets.fatbin") == [
        ("cubin", "sm_75"),
        ("cubin", "sm_90a"),
        ("cubin", "sm_90"),
        ("ptx", "compute_90"),
        ("cubin", "sm_100f"),
        ("cubin", "sm_100a"),
        ("ptx", "compute_100a"),
    ]


def test_targets_are_sorted_as_numbers() -> None:
    targets = targets_of(FIXTURES / "targets.fatbin")
    assert targets == ("compute_90", "compute_100a", "sm_75", "sm_90", "sm_90a", "sm_100a", "sm_100f")


@pytest.mark.parametrize(
    ("name", "kind", "compression"),
    [
        ("zstd", "cubin", "zstd"),
        ("zstd", "ptx", "zstd"),
        ("lz4", "ptx", "lz4"),
        ("plain", "ptx", ""),
        ("lto", "lto-ir", "zstd"),
    ],
)
def test_compression_is_told(name: str, kind: str, compression: str) -> None:
    (file,) = inspect(FIXTURES / f"{name}.fatbin").files
    (image,) = [image for image in file.images if image.kind == kind]
    assert image.compression == compression
    if compression:
        assert image.unpacked_bytes is not None
        assert image.unpacked_bytes > image.bytes


def test_ptx_says_its_isa() -> None:
    (file,) = inspect(FIXTURES / "plain.fatbin").files
    assert [image.isa for image in file.images] == ["9.0"]


@pytest.mark.parametrize("name", ["sm_75", "sm_90a", "sm_120f"])
def test_a_bare_cubin_is_named_with_its_suffix(name: str) -> None:
    assert kinds(FIXTURES / f"{name}.cubin") == [("cubin", name)]


@pytest.mark.parametrize("name", ["linux.o", "relocatable.o"])
def test_object_files(name: str) -> None:
    assert kinds(FIXTURES / name) == [("cubin", "sm_90"), ("ptx", "compute_90")]


def test_offsets_point_at_the_stored_bytes() -> None:
    path = FIXTURES / "linux.o"
    data = path.read_bytes()
    (file,) = inspect(path).files
    cubin = file.images[0]
    assert data[cubin.offset : cubin.offset + 4] == b"\x7fELF"
    assert data[cubin.container_offset : cubin.container_offset + 4] == bytes.fromhex("50ed55ba")
    assert file.images[1].entry_offset == cubin.offset + cubin.bytes


def test_libraries_for_linux_and_windows(tmp_path: Path) -> None:
    fat = (FIXTURES / "targets.fatbin").read_bytes()
    expected = targets_of(FIXTURES / "targets.fatbin")
    for name, data in {
        "lib.so": library({".text": b"x", ".nv_fatbin": fat}),
        "lib.dll": dll({".text": b"x", ".nv_fatbin": fat}),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert targets_of(tmp_path / name) == expected


def test_several_containers_with_padding_between_them(tmp_path: Path) -> None:
    one = (FIXTURES / "plain.fatbin").read_bytes()
    two = (FIXTURES / "lto.fatbin").read_bytes()
    (tmp_path / "lib.so").write_bytes(library({".nv_fatbin": one + bytes(40) + two}))
    assert targets_of(tmp_path / "lib.so") == ("compute_86", "lto_90")


def test_fat_binaries_that_cuobjdump_does_not_list(tmp_path: Path) -> None:
    one, two = ((FIXTURES / f"{name}.fatbin").read_bytes() for name in ("plain", "lto"))
    (tmp_path / "lib.so").write_bytes(library({".nv_fatbin": one, ".cask_resource": two}))
    (file,) = inspect(tmp_path / "lib.so").files
    assert {(image.section, image.target) for image in file.images} == {
        (".nv_fatbin", "compute_86"),
        (".cask_resource", "lto_90"),
    }


def test_a_library_without_section_table_is_searched(tmp_path: Path) -> None:
    stripped = bytearray(library({".nv_fatbin": (FIXTURES / "plain.fatbin").read_bytes()}))
    stripped[40:48] = bytes(8)
    stripped[60:64] = bytes(4)
    (tmp_path / "lib.so").write_bytes(stripped)
    assert targets_of(tmp_path / "lib.so") == ("compute_86",)


def test_code_in_plain_data_is_found_and_marked(tmp_path: Path) -> None:
    fat, bare = (FIXTURES / "targets.fatbin").read_bytes(), (FIXTURES / "sm_120f.cubin").read_bytes()
    noise = b"\x50\xed\x55\xba" + bytes(60)
    for name, make in {"lib.so": library, "lib.dll": dll}.items():
        (tmp_path / name).write_bytes(make({".data": noise + fat + bytes(24) + bare + bytes(100)}))
        (file,) = inspect(tmp_path / name).files
        assert [image.target for image in file.images] == [
            "sm_75", "sm_90a", "sm_90", "compute_90", "sm_100f", "sm_100a", "compute_100a", "sm_120f",
        ]  # fmt: skip
        assert {image.section for image in file.images} == {None}
        data, last = (tmp_path / name).read_bytes(), file.images[-1]
        assert data[last.offset : last.offset + last.bytes] == bare


def test_the_section_is_named(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(library({".nv_fatbin": (FIXTURES / "plain.fatbin").read_bytes()}))
    (file,) = inspect(tmp_path / "lib.so").files
    assert [image.section for image in file.images] == [".nv_fatbin"]
