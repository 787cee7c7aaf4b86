"""`thin`: only some targets' device code stays, everything else keeps its address, and the space is given back."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest
from codeobj_hosts import (
    BASE,
    HIPF,
    NVF,
    PAGE,
    at_address,
    at_rva,
    gfx_object,
    hip_bundle,
    joined,
    shared_object,
    windows_library,
)
from codeobj_samples import FIXTURES, HOST_ID, bundle, ccob, hip_id, library
from hypothesis import given
from hypothesis import strategies as st

from buildtool.codeobj import Image, inspect, thin
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.output import on_disk
from buildtool.codeobj.view import DamagedError
from buildtool.errors import IncompatibleError, InvalidInputError, StorageError, UnknownNameError

ALL = ("gfx900", "gfx1030", "gfx1100")
BODY = os.urandom(3 * PAGE)


def targets(path: Path) -> tuple[str, ...]:
    return inspect(path).targets


def thinned(tmp_path: Path, content: bytes, *keep: str, name: str = "lib.so") -> bytes:
    (tmp_path / name).write_bytes(content)
    thin(tmp_path / name, keep, tmp_path / "out")
    return (tmp_path / "out").read_bytes()


def wrapper_values(image: bytes, segment: int, count: int, *, relocated: bool) -> list[int]:
    """The addresses that the records hold once the loader has done its work."""
    if not relocated:
        return [struct.unpack("<Q", at_address(image, segment + 24 * n + 8, 8))[0] for n in range(count)]
    found = {}
    for place in range(0, len(image) - 24, 8):
        offset, info, addend = struct.unpack_from("<QQq", image, place)
        if info == 8 and segment <= offset < segment + 24 * count:
            found[offset] = addend
    return [found[segment + 24 * n + 8] for n in range(count)]


@pytest.mark.parametrize("relocated", [True, False])
def test_a_shared_object_shrinks_and_stays_where_it_was_in_memory(tmp_path: Path, *, relocated: bool) -> None:
    containers = [hip_bundle(*ALL, body=BODY), hip_bundle(*ALL, body=BODY[::-1]), hip_bundle("gfx900", body=BODY)]
    before = shared_object(containers, relocated=relocated)
    after = thinned(tmp_path, before, "gfx1030")
    assert len(after) < len(before) - 4 * len(BODY)
    assert targets(tmp_path / "out") == ("gfx1030",)
    device, _ = joined(containers)
    for address in (0x200, PAGE + len(device) + -len(device) % 16):  # before and behind the device code
        assert at_address(after, address, 64) == at_address(before, address, 64) != b""
    (file,) = inspect(tmp_path / "lib.so").files
    originals = [image for image in file.images if image.target == "gfx1030"]
    segment = next(
        offset for offset in range(0, 1 << 20, 16) if at_address(before, offset + PAGE, 4) == struct.pack("<I", HIPF)
    )
    pointed = wrapper_values(after, segment + PAGE, 3, relocated=relocated)
    for address, original in zip(pointed, originals, strict=False):
        head = at_address(after, address, 32 + 2 * 24 + 64)
        assert head.startswith(b"__CLANG_OFFLOAD_BUNDLE__")
        offset, size = struct.unpack_from("<QQ", head, 32 + 24 + len(HOST_ID))
        assert at_address(after, address + offset, size) == before[original.offset :][: original.bytes]
    assert at_address(after, pointed[2], 32) == b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 1)  # the host's only


def test_symbols_move_with_their_containers(tmp_path: Path) -> None:
    before = shared_object([hip_bundle(*ALL, body=BODY)] * 3)
    after = thinned(tmp_path, before, "gfx1030")
    start = struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0) + struct.pack("<IBBHQ", 1, 1, 0, 2, PAGE)
    table = after.index(start)
    values = [struct.unpack_from("<Q", after, table + 24 * n + 8)[0] for n in (1, 2, 3)]
    assert len(set(values)) == 3
    assert all(at_address(after, value, 24) == b"__CLANG_OFFLOAD_BUNDLE__" for value in values)


def test_without_every_record_nothing_moves_and_holes_remain(tmp_path: Path) -> None:
    before = shared_object([hip_bundle(*ALL, body=BODY * 4)] * 3, missing=1)
    (tmp_path / "lib.so").write_bytes(before)
    result = thin(tmp_path / "lib.so", ["gfx1030"], tmp_path / "out")
    after = (tmp_path / "out").read_bytes()
    assert len(after) == len(before)
    assert "holes only" in result.notes[0]
    assert "1 of 3" in result.notes[0]
    assert targets(tmp_path / "out") == ("gfx1030",)
    kept = [image.container_offset for image in inspect(tmp_path / "out").files[0].images]
    assert kept == [
        image.container_offset for image in inspect(tmp_path / "lib.so").files[0].images if image.target == "gfx1030"
    ]
    if hasattr(os.stat_result, "st_blocks"):
        assert on_disk(tmp_path / "out") < len(before)


def test_nvidia_containers(tmp_path: Path) -> None:
    one, two = ((FIXTURES / name).read_bytes() for name in ("targets.fatbin", "zstd.fatbin"))
    before = shared_object([one, two], magic=NVF, fat=".nv_fatbin")
    thinned(tmp_path, before, "sm_90")
    kept = [(image.kind, image.target) for image in inspect(tmp_path / "out").files[0].images]
    assert {target for _, target in kept} == {"sm_90", "sm_90a", "compute_86"}  # PTX where nothing else would load
    whole = {image.target: image for image in inspect(tmp_path / "lib.so").files[0].images}
    for image in inspect(tmp_path / "out").files[0].images:
        assert image.bytes == whole[image.target].bytes


@pytest.mark.parametrize("signature", [b"", b"signed" * 20])
def test_a_windows_library_shrinks_and_stays_where_it_was_in_memory(tmp_path: Path, signature: bytes) -> None:
    containers = [hip_bundle(*ALL, body=BODY), hip_bundle(*ALL, body=BODY[::-1])]
    before = windows_library(containers, signature=signature)
    after = thinned(tmp_path, before, "gfx1030", name="lib.dll")
    assert len(after) < len(before) - 2 * len(BODY)
    assert targets(tmp_path / "out") == ("gfx1030",)
    rvas = [struct.unpack_from("<I", before, 64 + 24 + 240 + 40 * number + 12)[0] for number in range(4)]
    for rva in (rvas[0], rvas[3]):
        assert at_rva(after, rva + 28, 14) == at_rva(before, rva + 28, 14) != b""
    for number in range(2):
        (value,) = struct.unpack("<Q", at_rva(after, rvas[2] + 24 * number + 8, 8))
        assert at_rva(after, value - BASE, 24) == b"__CLANG_OFFLOAD_BUNDLE__"
        assert value % PAGE == 0
    (pointer,) = struct.unpack_from("<I", at_rva(after, rvas[0], 28), 24)
    assert after[pointer : pointer + 7] == b"pdbpath"
    assert b"signed" not in after
    assert after[64 + 24 + 64 : 64 + 24 + 68] == bytes(4)


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_compressed_bundles(tmp_path: Path, version: int, method: str) -> None:
    before = ccob(hip_bundle(*ALL, body=BODY), version, method)
    after = thinned(tmp_path, before, "gfx1030", name="x.hipfb")
    assert after[:8] == before[:8]
    assert targets(tmp_path / "out") == ("gfx1030",)
    assert len(after) < len(before)


def test_thinning_twice_changes_nothing(tmp_path: Path) -> None:
    once = thinned(tmp_path, shared_object([hip_bundle(*ALL, body=BODY)] * 2), "gfx1030")
    (tmp_path / "out").unlink()
    assert thinned(tmp_path, once, "gfx1030") == once


def tree(root: Path) -> Path:
    folder = root / "rocblas" / "library"
    folder.mkdir(parents=True)
    for chip in ALL:
        (folder / f"TensileLibrary_lazy_{chip}.dat").write_bytes(b"\x82" + chip.encode())
        (folder / f"Kernels_{chip}.hsaco").write_bytes(gfx_object(chip))
        (folder / f"{chip}_36.db.txt").write_text("tuning")
    (folder / "TensileLibrary_fallback.dat").write_bytes(b"\x82rest")
    (folder / "link.hsaco").symlink_to("Kernels_gfx900.hsaco")
    (root / "librocblas.so.4").write_bytes(shared_object([hip_bundle(*ALL)]))
    (root / "librocblas.so").symlink_to("librocblas.so.4")
    (root / "README-gfx900.md").write_text("words")
    (root / "empty").write_bytes(b"")
    return root


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or path.is_file()}


def test_a_tree_loses_the_files_of_other_processors(tmp_path: Path) -> None:
    source = tree(tmp_path / "src")
    result = thin(source, ["gfx1030"], tmp_path / "out")
    assert names(tmp_path / "out") == {
        "rocblas/library/TensileLibrary_lazy_gfx1030.dat",
        "rocblas/library/Kernels_gfx1030.hsaco",
        "rocblas/library/gfx1030_36.db.txt",
        "rocblas/library/TensileLibrary_fallback.dat",
        "librocblas.so.4",
        "librocblas.so",
        "README-gfx900.md",
        "empty",
    }
    assert len(result.dropped) == 7
    assert (tmp_path / "out" / "librocblas.so").readlink() == Path("librocblas.so.4")


@pytest.mark.parametrize(
    ("held", "device", "kept"),
    [
        (("sm_80", "sm_86", "sm_90", "sm_90a"), "sm_89", {"sm_86"}),
        (("sm_80", "sm_90", "sm_90a", "compute_90"), "sm_90", {"sm_90", "sm_90a"}),
        (("sm_80", "compute_80"), "sm_90", {"compute_80"}),
        (("sm_100", "compute_120"), "sm_90", set()),
        (("sm_80", "lto_75", "lto_80"), "sm_86", {"sm_80", "lto_80"}),
        (("gfx90a:xnack+", "gfx90a:xnack-", "gfx908"), "gfx90a", {"gfx90a:xnack+", "gfx90a:xnack-"}),
        (("gfx90a:xnack+", "gfx90a:xnack-"), "gfx90a:xnack-", {"gfx90a:xnack-"}),
        (("gfx10-3-generic", "gfx1030"), "gfx1032", {"gfx10-3-generic"}),
        (("gfx10-3-generic", "gfx1032"), "gfx1032", {"gfx1032"}),
        (("gfx1030",), "gfx1032", set()),
        (("spirv1.5", "gfx900"), "gfx1032", {"spirv1.5"}),
    ],
)
def test_what_a_device_would_be_given_stays(held: tuple[str, ...], device: str, kept: set[str]) -> None:
    kinds = {"sm_": "cubin", "com": "ptx", "lto": "lto-ir", "spi": "spirv"}
    images = [Image(kind=kinds.get(name[:3], "hsaco"), target=name, bytes=1, offset=0, isa="8.0") for name in held]
    assert {image.target for image in Keep.of([device]).choose(images)} == kept


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=5), st.sets(st.sampled_from(ALL), min_size=1))
def test_what_is_kept_is_what_was_there(
    tmp_path_factory: pytest.TempPathFactory, held: list[str], keep: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    entries = [(hip_id(chip), gfx_object(chip, body=bytes([number]) * 100)) for number, chip in enumerate(held)]
    (folder / "in").write_bytes(bundle(entries))
    if not keep & set(held):
        with pytest.raises(IncompatibleError, match="holds no code"):
            thin(folder / "in", keep, folder / "out")
        assert not (folder / "out").exists()
        return
    thin(folder / "in", keep, folder / "out")
    data = (folder / "out").read_bytes()
    (file,) = inspect(folder / "out").files
    expected = [content for chip, (_, content) in zip(held, entries, strict=True) if chip in keep]
    assert [data[image.offset :][: image.bytes] for image in file.images] == expected


def test_an_object_file_is_not_cut(tmp_path: Path) -> None:
    content = bytearray(library({".hip_fatbin": hip_bundle(*ALL, body=BODY * 2)}))
    content[16] = 1  # relocatable
    (tmp_path / "lib.o").write_bytes(content)
    result = thin(tmp_path / "lib.o", ["gfx1030"], tmp_path / "out")
    assert "holes only" in result.notes[0]
    assert targets(tmp_path / "out") == ("gfx1030",)


@pytest.mark.parametrize(
    ("make", "keep", "error"),
    [
        (lambda place: (place / "src").write_bytes(b"no device code"), "gfx1030", IncompatibleError),
        (lambda place: (place / "src").write_bytes(b""), "gfx1030", InvalidInputError),
        (lambda place: (place / "src").mkdir(), "gfx1030", InvalidInputError),
        (lambda place: None, "gfx1030", InvalidInputError),  # noqa: ARG005 - nothing is there
        (lambda place: (place / "src").write_bytes(hip_bundle("gfx1030")), "gfx9999", UnknownNameError),
        (lambda place: (place / "src").write_bytes(hip_bundle("gfx1030")[:4500]), "gfx1030", DamagedError),
    ],
)
def test_bad_input(tmp_path: Path, make: object, keep: str, error: type[Exception]) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(error):
        thin(tmp_path / "src", [keep], tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"src"}


def test_an_archive_is_kept_whole_or_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with zipfile.ZipFile(tmp_path / "src" / "x.whl", "w") as wheel:
        wheel.writestr("x.hsaco", gfx_object("gfx900"))
    (tmp_path / "src" / "x.hsaco").write_bytes(gfx_object("gfx1030"))
    result = thin(tmp_path / "src", ["gfx1030"], tmp_path / "out")
    assert result.notes == ("x.whl: an archive is kept whole",)
    assert names(tmp_path / "out") == {"x.whl", "x.hsaco"}
    with pytest.raises(InvalidInputError, match="archive"):
        thin(tmp_path / "src" / "x.whl", ["gfx1030"], tmp_path / "o")


def test_places_the_result_may_not_go(tmp_path: Path) -> None:
    source = tree(tmp_path / "src")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(source)
    for out, error in [
        (source, InvalidInputError),
        (source / "new", InvalidInputError),
        (tmp_path, InvalidInputError),
        (tmp_path / "there", InvalidInputError),
        (tmp_path / "link", InvalidInputError),
        (tmp_path / "link" / "new", InvalidInputError),
        (tmp_path / "no" / "such", StorageError),
    ]:
        with pytest.raises(error):
            thin(source, ["gfx1030"], out)
    assert {path.name for path in tmp_path.iterdir()} == {"src", "there", "link"}


@pytest.mark.parametrize("text", ["/etc/passwd", "../outside", "rocblas/../../outside"])
def test_a_link_out_of_the_tree_is_refused(tmp_path: Path, text: str) -> None:
    source = tree(tmp_path / "src")
    (source / "away").symlink_to(text)
    with pytest.raises(InvalidInputError, match="out of its tree"):
        thin(source, ["gfx1030"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
