"""`retarget`: a processor's name in place of a sibling's, everywhere, and back again bit for bit."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import msgspec
import pytest
from codeobj_hosts import MACH, gfx_object, hip_bundle, shared_object, windows_library
from codeobj_samples import bundle, ccob, code_object, elf64, hip_id, kpack, library
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.codeobj import inspect, manifest, repack, restore, retarget, thin, verify
from buildtool.codeobj.bundle import ccob_header
from buildtool.codeobj.view import BytesView, DamagedError
from buildtool.errors import IncompatibleError, IntegrityError, InvalidInputError, StorageError

OLD, NEW = "gfx1030", "gfx1032"
ROW = {"type": "AMDGPU", "value": {"type": "Processor", "value": OLD}}
LAZY = {"predicate": ROW, "rows": [f"TensileLibrary_Type_SS_{OLD}", "fallback"]}


def turned(source: Path, out: Path, old: str = OLD, new: str = NEW, *, thinned: bool = False) -> bytes:
    retarget(source, old, new, out, thinned=thinned)
    return out.read_bytes() if out.is_file() else b""


def test_a_code_object(tmp_path: Path) -> None:
    before = gfx_object(OLD, kernels=("k", "kernel_gfx1030"), notes=3)
    (tmp_path / "x.hsaco").write_bytes(before)
    after = turned(tmp_path / "x.hsaco", tmp_path / "out")
    assert inspect(tmp_path / "out").targets == (NEW,)
    assert after.count(b"--gfx1032") == 3
    assert b"--gfx1030" not in after
    assert after.count(b"kernel_gfx1030") == 3  # the host code asks for kernels by name
    assert sum(one != two for one, two in zip(before, after, strict=True)) == 4


def test_only_the_bundle_entries_for_the_processor_change(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(shared_object([hip_bundle("gfx900", OLD, "gfx1100")] * 2))
    result = retarget(tmp_path / "lib.so", OLD, NEW, tmp_path / "out", thinned=False)
    (file,) = inspect(tmp_path / "out").files
    assert [image.target for image in file.images] == ["gfx900", NEW, "gfx1100"] * 2
    assert {image.bundle_id for image in file.images if image.target == NEW} == {hip_id(NEW)}
    assert result.images == 2
    changes = result.manifest.files[0].changes
    assert {change.what for change in changes} == {"bundle id", "e_flags", "note"}
    assert sum(len(change.after) for change in changes) == 6


@pytest.mark.parametrize("make", [shared_object, windows_library])
def test_host_code_keeps_its_strings(tmp_path: Path, make: object) -> None:
    content = make([hip_bundle(OLD)])  # type: ignore[operator]
    (tmp_path / "lib").write_bytes(content.replace(b"read only data", b"is for gfx1030"))
    assert b"is for gfx1030" in turned(tmp_path / "lib", tmp_path / "out")


def rocblas(root: Path, chip: str = OLD, others: tuple[str, ...] = ("gfx900",)) -> Path:
    folder = root / "rocblas" / "library"
    (folder / f"{chip}-extra").mkdir(parents=True)
    for name in (chip, *others):
        index = json.loads(json.dumps(LAZY).replace(OLD, name))
        (folder / f"TensileLibrary_lazy_{name}.dat").write_bytes(msgspec.msgpack.encode(index))
        (folder / f"TensileLibrary_Type_SS_{name}.dat").write_bytes(b"\x81\xa1a\x01")
        (folder / f"TensileLibrary_Type_SS_{name}.co").write_bytes(gfx_object(name, notes=2))
        (folder / f"Kernels.so-000-{name}.hsaco").write_bytes(gfx_object(name))
    (folder / f"latest_{chip}.co").symlink_to(f"TensileLibrary_Type_SS_{chip}.co")
    (folder / "TensileLibrary_Type_SS_fallback.dat").write_bytes(b"\x81\xa1a\x01")
    (folder / f"{chip}.kdb").write_bytes(b"database")
    (root / "librocblas.so.4").write_bytes(shared_object([hip_bundle(chip, *others)] * 2))
    (root / "librocblas.so").symlink_to("librocblas.so.4")
    return root


def tree_of(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if name != "gpubuild-retarget.json":
            found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def test_a_rocblas_tree(tmp_path: Path) -> None:
    source = rocblas(tmp_path / "src")
    before = tree_of(source)
    retarget(source, OLD, NEW, tmp_path / "out", thinned=True)
    after = tree_of(tmp_path / "out")
    assert tree_of(source) == before
    assert not [name for name in after if OLD in name and not name.endswith(".kdb")]
    assert not [name for name, content in after.items() if isinstance(content, bytes) and b"gfx1030" in content]
    assert inspect(tmp_path / "out").targets == (NEW,)
    index = msgspec.msgpack.decode(after[f"rocblas/library/TensileLibrary_lazy_{NEW}.dat"])  # type: ignore[arg-type]
    assert index["predicate"] == {"type": "TruePred"}  # rocBLAS does not tell a gfx1032 by its name
    assert index["rows"] == [f"TensileLibrary_Type_SS_{NEW}", "fallback"]
    assert after[f"rocblas/library/latest_{NEW}.co"] == Path(f"TensileLibrary_Type_SS_{NEW}.co")
    assert f"rocblas/library/{NEW}-extra" in after
    assert "rocblas/library/TensileLibrary_lazy_gfx900.dat" not in after


def predicate(path: Path) -> object:
    return msgspec.msgpack.decode(path.read_bytes())["predicate"]


def test_a_row_names_its_processor_only_where_rocblas_tells_it_by_name(tmp_path: Path) -> None:
    name = "TensileLibrary_lazy_{}.dat"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name.format(OLD)).write_bytes(msgspec.msgpack.encode(LAZY))
    for source, old, new in (("a", OLD, NEW), ("b", NEW, "gfx1034"), ("c", "gfx1034", OLD)):
        target = chr(ord(source) + 1)
        retarget(tmp_path / source, old, new, tmp_path / target, thinned=False)
        row = predicate(tmp_path / target / name.format(new))
        assert row == (ROW if new == OLD else {"type": "TruePred"})
    known = json.loads(json.dumps(LAZY).replace(OLD, "gfx1200"))
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / name.format("gfx1200")).write_bytes(msgspec.msgpack.encode(known))
    retarget(tmp_path / "e", "gfx1200", "gfx1201", tmp_path / "f", thinned=False)
    assert predicate(tmp_path / "f" / name.format("gfx1201")) == {
        "type": "AMDGPU",
        "value": {"type": "Processor", "value": "gfx1201"},
    }


def test_a_table_of_several_processors_keeps_their_names(tmp_path: Path) -> None:
    """A row for all in it would take the other processors' problems."""
    (tmp_path / "TensileLibrary.dat").write_bytes(msgspec.msgpack.encode(LAZY))
    retarget(tmp_path / "TensileLibrary.dat", OLD, NEW, tmp_path / "out.dat", thinned=False)
    assert predicate(tmp_path / "out.dat") == {"type": "AMDGPU", "value": {"type": "Processor", "value": NEW}}


def test_a_tree_turned_back_by_its_inverse_and_by_its_manifest(tmp_path: Path) -> None:
    source = rocblas(tmp_path / "src")
    retarget(source, OLD, NEW, tmp_path / "there", thinned=False)
    restore(tmp_path / "there", tmp_path / "there" / "gpubuild-retarget.json", tmp_path / "undone")
    assert tree_of(tmp_path / "undone") == tree_of(source)
    (tmp_path / "there" / "gpubuild-retarget.json").unlink()
    retarget(tmp_path / "there", NEW, OLD, tmp_path / "back", thinned=False)
    assert tree_of(tmp_path / "back") == tree_of(source)


def test_thinning_at_once_is_thinning_before(tmp_path: Path) -> None:
    source = rocblas(tmp_path / "src")
    retarget(source, OLD, NEW, tmp_path / "once", thinned=True)
    thin(source, [OLD], tmp_path / "thin")
    retarget(tmp_path / "thin", OLD, NEW, tmp_path / "twice", thinned=False)
    assert tree_of(tmp_path / "once") == tree_of(tmp_path / "twice")
    restore(tmp_path / "once", tmp_path / "once" / "gpubuild-retarget.json", tmp_path / "undone")
    assert tree_of(tmp_path / "undone") == tree_of(tmp_path / "thin")


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    source = rocblas(tmp_path / "src")
    (source / "packed.so").write_bytes(library({".hip_fatbin": ccob(hip_bundle(OLD), 3, "zstd") + bytes(512)}))
    for out in ("one", "two"):
        retarget(source, OLD, NEW, tmp_path / out, thinned=True)
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two")
    manifests = [(tmp_path / out / "gpubuild-retarget.json").read_bytes() for out in ("one", "two")]
    assert manifests[0] == manifests[1]


def test_modes_and_read_only_files(tmp_path: Path) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object(OLD))
    (tmp_path / "x.co").chmod(0o555)
    os.utime(tmp_path / "x.co", (1, 1))
    retarget(tmp_path / "x.co", OLD, NEW, tmp_path / "out.co", thinned=False)
    status = (tmp_path / "out.co").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o555, 1)


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.permutations(["gfx1030", "gfx1031", "gfx1032"]),
    held=st.lists(st.sampled_from(["gfx900", "gfx1030", "gfx1100"]), min_size=1, max_size=4, unique=True),
    notes=st.integers(0, 4),
    body=st.binary(max_size=200),
    name=st.sampled_from(["a_gfx1030.co", "b.so", "gfx1030/x_gfx1030-xnack.hsaco"]),
)
def test_the_inverse_restores_every_bit(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[str], held: list[str], notes: int, body: bytes, name: str
) -> None:
    root = tmp_path_factory.mktemp("tree")
    old, new, _ = pairs
    held = [old if chip == "gfx1030" else chip for chip in held]
    path = root / "src" / name.replace("gfx1030", old)
    path.parent.mkdir(parents=True)
    entries = [(hip_id(chip), gfx_object(chip, body=body, notes=notes)) for chip in held]
    path.write_bytes(bundle(entries) if name == "b.so" else entries[0][1])
    present = old in (held if name == "b.so" else held[:1])
    if not present:
        with pytest.raises(IncompatibleError):
            retarget(root / "src", old, new, root / "there", thinned=False)
        return
    retarget(root / "src", old, new, root / "there", thinned=False)
    verify(root / "there", root / "there" / "gpubuild-retarget.json")
    (root / "there" / "gpubuild-retarget.json").unlink()
    retarget(root / "there", new, old, root / "back", thinned=False)
    assert tree_of(root / "back") == tree_of(root / "src")
    assert tree_of(root / "there") != tree_of(root / "src")


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("inside", [False, True])
def test_compressed_bundles(tmp_path: Path, version: int, method: str, *, inside: bool) -> None:
    plain = hip_bundle("gfx900", OLD, body=os.urandom(3000))
    packed = ccob(plain, version, method)
    content = library({".hip_fatbin": packed + bytes(-len(packed) % 4096)}) if inside else packed
    (tmp_path / "x").write_bytes(content)
    after = turned(tmp_path / "x", tmp_path / "out")
    start = after.index(b"CCOB")
    assert after[start : start + 8] == packed[:8]
    ccob_header(BytesView(after), start, len(after))
    assert inspect(tmp_path / "out").targets == ("gfx900", NEW)
    restore(tmp_path / "out", tmp_path / "out.retarget.json", tmp_path / "undone")
    assert (tmp_path / "undone").read_bytes() == content
    assert inside is False or len(after) == len(content)


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_a_compressed_bundle_without_room_is_refused(method: str) -> None:
    plain = os.urandom(500)
    view = BytesView(ccob(plain, 2, method))
    assert len(repack.pack(view, 0, lambda: [plain], len(plain), 600)) <= 600
    with pytest.raises(DamagedError, match="has room for 400"):
        repack.pack(view, 0, lambda: [plain], len(plain), 400)


def test_what_serves_the_processor_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    both = shared_object([hip_bundle(OLD, NEW)])
    (tmp_path / "src" / "both.so").write_bytes(both)
    (tmp_path / "src" / "one.so").write_bytes(shared_object([hip_bundle(OLD)]))
    result = retarget(tmp_path / "src", OLD, NEW, tmp_path / "out", thinned=False)
    assert (tmp_path / "out" / "both.so").read_bytes() == both
    assert "already" in result.notes[0]
    assert inspect(tmp_path / "out" / "one.so").targets == (NEW,)


def test_a_tree_with_both_sets_of_files_is_refused(tmp_path: Path) -> None:
    source = rocblas(tmp_path / "src", others=(NEW,))
    with pytest.raises(IncompatibleError, match="already") as caught:
        retarget(source, OLD, NEW, tmp_path / "out", thinned=False)
    assert "thin" in caught.value.hint


def lying_bundle() -> bytes:
    return bundle([(hip_id(OLD), code_object(MACH["gfx1100"]))])


@pytest.mark.parametrize(
    ("content", "error", "word"),
    [
        (b"nothing", IncompatibleError, "no device code"),
        (b"", InvalidInputError, "empty"),
        (gfx_object(NEW), IncompatibleError, "already"),
        (gfx_object("gfx1100"), IncompatibleError, "gfx1100"),
        (lying_bundle(), DamagedError, "not for gfx1030"),
        (bundle([(hip_id(OLD), b"BC\xc0\xde" * 40)]), DamagedError, "ELF header"),
        (bundle([(hip_id(OLD), elf64(62, body=bytes(100)))]), DamagedError, "no AMD code object"),
        (bundle([(hip_id(OLD), code_object(MACH[OLD], version=2))]), DamagedError, "version 2"),
        (hip_bundle(OLD)[:4500], DamagedError, "claims"),
        (ccob(hip_bundle(OLD), 2, "zstd")[:-40], DamagedError, ""),
        (kpack("lib", {OLD: gfx_object(OLD)}), IncompatibleError, "gfx1030"),
    ],
)
def test_bad_input(tmp_path: Path, content: bytes, error: type[Exception], word: str) -> None:
    (tmp_path / "src").write_bytes(content)
    with pytest.raises(error) as caught:
        retarget(tmp_path / "src", OLD, NEW, tmp_path / "out", thinned=False)
    assert word in f"{caught.value} {getattr(caught.value, 'why', '')}"
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize(("old", "new"), [("gfx1100", "gfx1103"), ("gfx906", "gfx900"), ("gfx1010", "gfx1012")])
def test_a_pair_that_is_not_identical_is_refused(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "src").write_bytes(hip_bundle(OLD))
    with pytest.raises(IncompatibleError, match="not all the same"):
        retarget(tmp_path / "src", old, new, tmp_path / "out", thinned=False)


def test_the_manifest_tells_every_change(tmp_path: Path) -> None:
    before = shared_object([hip_bundle(OLD)])
    (tmp_path / "lib.so").write_bytes(before)
    after = turned(tmp_path / "lib.so", tmp_path / "out.so")
    (row,) = verify(tmp_path / "out.so", tmp_path / "out.so.retarget.json").files
    changed = {n for n, (one, two) in enumerate(zip(before, after, strict=True)) if one != two}
    told = {change.offset + n for change in row.changes for n in range(len(change.after))}
    assert changed <= told
    patched = bytearray(after)
    for change in row.changes:
        patched[change.offset : change.offset + len(change.after)] = change.before
    assert bytes(patched) == before


def test_an_edited_result_is_not_undone(tmp_path: Path) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object(OLD))
    after = bytearray(turned(tmp_path / "x.co", tmp_path / "out.co"))
    record = tmp_path / "out.co.retarget.json"
    after[-1] ^= 1
    (tmp_path / "out.co").write_bytes(after)
    for call in (
        lambda: verify(tmp_path / "out.co", record),
        lambda: restore(tmp_path / "out.co", record, tmp_path / "u"),
    ):
        with pytest.raises(IntegrityError):
            call()
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"x"', '"../x"'),
        lambda text: text.replace('"x"', '"/etc/x"'),
        lambda text: text.replace('"x"', '"C:x"'),
        lambda text: text.replace('"schema": 1', '"schema": 9'),
        lambda text: text.replace('"target"', '"goal"'),
        lambda text: text[:50],
        lambda text: "[" * 100000,  # noqa: ARG005 - whatever was there
    ],
)
def test_a_manifest_that_is_none_or_leads_out_is_refused(tmp_path: Path, edit: object) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x").write_bytes(gfx_object(OLD))
    retarget(tmp_path / "src", OLD, NEW, tmp_path / "out", thinned=False)
    record = tmp_path / "record.json"
    record.write_text(edit((tmp_path / "out" / "gpubuild-retarget.json").read_text()))  # type: ignore[operator]
    with pytest.raises(InvalidInputError):
        restore(tmp_path / "out", record, tmp_path / "undone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "record.json", "src"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda row: row | {"changes": [row["changes"][0] | {"offset": -1}]},
        lambda row: row | {"was_bytes": -5},
        lambda row: row | {"was_bytes": 1 << 62},
    ],
)
def test_a_manifest_with_places_that_no_file_has_is_refused(tmp_path: Path, edit: object) -> None:
    (tmp_path / "x.co").write_bytes(gfx_object(OLD))
    turned(tmp_path / "x.co", tmp_path / "out.co")
    record = tmp_path / "out.co.retarget.json"
    found = json.loads(record.read_text())
    found["files"][0] = edit(found["files"][0])  # type: ignore[operator]
    record.write_text(json.dumps(found))
    with pytest.raises(InvalidInputError):
        restore(tmp_path / "out.co", record, tmp_path / "u")
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("text", ["/etc/passwd", "../../x", ".."])
def test_a_manifest_whose_links_lead_out_is_refused(tmp_path: Path, text: str) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / f"x-{OLD}.co").write_bytes(gfx_object(OLD))
    (source / "link").symlink_to(f"x-{OLD}.co")
    retarget(source, OLD, NEW, tmp_path / "out", thinned=False)
    record = tmp_path / "out" / "gpubuild-retarget.json"
    found = json.loads(record.read_text())
    assert found["renamed"] == [{"path": "link", "was": "link", "text": f"x-{NEW}.co", "was_text": f"x-{OLD}.co"}]
    found["renamed"][0]["was_text"] = text
    record.write_text(json.dumps(found))
    with pytest.raises(InvalidInputError, match="out of its tree"):
        restore(tmp_path / "out", record, tmp_path / "undone")


def test_without_its_manifest_there_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "x.co").write_bytes(gfx_object(OLD))
    monkeypatch.setattr(manifest, "save", full)
    with pytest.raises(StorageError, match="The disk is full") as told:
        turned(tmp_path / "x.co", tmp_path / "out.co")
    assert "--out" in told.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["x.co"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_no_manifest_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / os.fsdecode(b"\xe9_gfx1030.co")).write_bytes(gfx_object(OLD))
    with pytest.raises(InvalidInputError, match="no UTF-8"):
        retarget(tmp_path / "src", OLD, NEW, tmp_path / "out", thinned=False)
    assert [path.name for path in tmp_path.iterdir()] == ["src"]
