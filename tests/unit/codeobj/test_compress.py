"""`compress`: the same device code in clang's compressed bundles, found again by readers of both forms."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest
from codeobj_hosts import gfx_object, hip_bundle, shared_object, windows_library
from codeobj_samples import ccob, code_object, hip_id
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.codeobj import bundle, compress, inspect, retarget, thin, understands
from buildtool.codeobj.model import Image
from buildtool.codeobj.view import BytesView, read
from buildtool.errors import InvalidInputError

BODY = b"code" * 2048


def code(path: Path) -> list[tuple[str, bytes]]:
    """Every code object of a file or tree, unpacked, with its target."""
    found = []
    for file in inspect(path).files:
        data = BytesView(Path(file.path).read_bytes())
        found += [(image.target, content(data, image)) for image in file.images if image.kind == "hsaco"]
    return found


def content(view: BytesView, image: Image) -> bytes:
    if image.container == "ccob":
        start = image.container_offset
        inner = bundle.unpacked_view(view, start, start + (image.container_bytes or 0))
        return read(inner, image.offset, image.bytes)
    return read(view, image.offset, image.bytes)


@pytest.mark.parametrize("make", [shared_object, windows_library])
def test_a_library_holds_the_same_code_in_less_room(tmp_path: Path, make: object) -> None:
    plain = make([hip_bundle("gfx1030", "gfx900", body=BODY)] * 3)  # type: ignore[operator]
    (tmp_path / "lib").write_bytes(plain)
    result = compress(tmp_path / "lib", tmp_path / "out")
    assert code(tmp_path / "out") == code(tmp_path / "lib")
    assert {image.container for file in inspect(tmp_path / "out").files for image in file.images} == {"ccob"}
    assert (tmp_path / "out").stat().st_size < len(plain) / 2
    assert result.kept == 6
    assert not result.notes


def test_a_bare_object_becomes_a_bundle_with_one_entry(tmp_path: Path) -> None:
    (tmp_path / "k.co").write_bytes(gfx_object("gfx1030", body=BODY))
    compress(tmp_path / "k.co", tmp_path / "out.co")
    ((image,),) = [file.images for file in inspect(tmp_path / "out.co").files]
    assert image.bundle_id == hip_id("gfx1030")
    assert code(tmp_path / "out.co") == code(tmp_path / "k.co")
    assert image.offset % 4096 == 0


def test_what_has_no_plain_code_stays_bit_for_bit(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "packed.co").write_bytes(ccob(hip_bundle("gfx1030"), 2, "zstd"))
    (source / "TensileLibrary_lazy_gfx1030.dat").write_bytes(b"\x81\xa1a\x01")
    (source / "notes.txt").write_bytes(b"text")
    (source / "tiny.hsaco").write_bytes(gfx_object("gfx1030", body=b""))
    (source / "link.co").symlink_to("packed.co")
    compress(source, tmp_path / "out")
    for name in ("packed.co", "TensileLibrary_lazy_gfx1030.dat", "notes.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert code(tmp_path / "out" / "tiny.hsaco") == code(source / "tiny.hsaco")
    assert (tmp_path / "out/link.co").is_symlink()


def test_it_comes_last_and_the_others_still_read_it(tmp_path: Path) -> None:
    (tmp_path / "lib").write_bytes(shared_object([hip_bundle("gfx1030", "gfx900", body=BODY)] * 2))
    compress(tmp_path / "lib", tmp_path / "packed")
    thin(tmp_path / "packed", ["gfx1030"], tmp_path / "thin")
    retarget(tmp_path / "thin", "gfx1030", "gfx1032", tmp_path / "new", thinned=False)
    assert inspect(tmp_path / "new").targets == ("gfx1032",)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "lib").write_bytes(shared_object([hip_bundle("gfx1030", body=BODY)]))
    compress(tmp_path / "lib", tmp_path / "one")
    compress(tmp_path / "lib", tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with pytest.raises(InvalidInputError):
        compress(tmp_path / "lib", tmp_path / "one")


def test_a_loader_is_told_by_the_magic_it_knows(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"..CCOBu..")
    (tmp_path / "old").write_bytes(b"__CLANG_OFFLOAD_BUNDLE__")
    assert understands(tmp_path / "new")
    assert not understands(tmp_path / "old")


@settings(max_examples=40, deadline=None)
@given(bodies=st.lists(st.binary(max_size=6000), min_size=1, max_size=4), repeat=st.integers(1, 30))
def test_any_code_comes_back(tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], repeat: int) -> None:
    place = tmp_path_factory.mktemp("code")
    (place / "lib").write_bytes(shared_object([hip_bundle("gfx1030", "gfx900", body=body * repeat) for body in bodies]))
    compress(place / "lib", place / "out")
    assert code(place / "out") == code(place / "lib")


def test_compressed_code_of_one_file_lies_in_memory_and_not_that_of_all(tmp_path: Path) -> None:
    source, number, size = tmp_path / "src", 8, 1 << 20
    source.mkdir()
    for n in range(number):
        noise = random.Random(n).randbytes(size)  # noqa: S311 - only to be hard to compress
        (source / f"{n}.co").write_bytes(gfx_object("gfx1030", body=noise + bytes(size)))
    tracemalloc.start()
    result = compress(source, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.kept == number
    assert size < sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) / number < 1.2 * size
    assert peak < number * size


def test_a_code_object_of_an_unknown_processor_stays(tmp_path: Path) -> None:
    """In a bundle it would have no name, and no loader would find it."""
    (tmp_path / "k.co").write_bytes(code_object(0xFE, size=9000))
    compress(tmp_path / "k.co", tmp_path / "out.co")
    assert (tmp_path / "out.co").read_bytes() == (tmp_path / "k.co").read_bytes()
