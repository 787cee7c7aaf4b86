"""Packing for real, with scikit-build-core and CMake, of a small build tree; and what a full disk makes of it."""

from __future__ import annotations

import errno
import sys
import zipfile
from pathlib import Path

import pytest

from buildtool import wheel as room
from buildtool.errors import BuildError, ProcessError, StorageError
from buildtool.runtime import RuntimeSet
from buildtool.wheel import Wheel, pack, require_writable
from buildtool.wheel.delivery import deliver
from buildtool.wheel.reading import check

sys.path.insert(0, str(Path(__file__).parent))

from pack_samples import build_tree, runtime_plan, source_of

NOTHING = RuntimeSet()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="packs a program of Linux")


def test_a_wheel_is_compressed_once_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, out = build_tree(tmp_path / "bäu me]]'#"), tmp_path / "ausgabe é"
    drafts: list[list[zipfile.ZipInfo]] = []
    seal = room.seal

    def looked_at(draft: Path, *rest: object) -> object:
        with zipfile.ZipFile(draft) as archive:
            drafts.append(archive.infolist())
        return seal(draft, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "seal", looked_at)
    (made,) = pack(runtime_plan(), tree, source_of(tree), NOTHING, out)
    assert all(info.compress_size >= info.file_size for info in drafts[0]), "the draft is not compressed"
    with zipfile.ZipFile(made.path) as archive:
        data = next(info for info in archive.infolist() if info.filename.endswith("libdata.so"))
    assert data.compress_size < 0.6 * data.file_size
    assert made.tag.startswith("manylinux_2_")
    assert "gpubuild_llama/lib/llama-server" in check(Path(made.path))
    assert [path.name for path in out.iterdir()] == [Path(made.path).name]
    left = sorted(path.name for path in Path(tree.path, "wheels").iterdir())
    assert left == sorted([Path(made.path).name, room.RECORD])
    (again,) = pack(runtime_plan(), tree, source_of(tree), NOTHING, out)
    assert (again, len(drafts)) == (made, 1), "an unchanged tree is not packed again"


@pytest.mark.parametrize("step", ["program", "seal", "interrupt"])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    tree, out = build_tree(tmp_path / "b"), tmp_path / "out"
    full = OSError(errno.ENOSPC, "No space left on device")

    def broken(*_words: object, **_more: object) -> object:
        if step == "program":
            what = "python failed"
            raise ProcessError(what, details=("OSError: [Errno 28] No space left on device", "*** end"))
        raise full if step == "seal" else KeyboardInterrupt

    monkeypatch.setattr(room, "run" if step == "program" else "seal", broken)
    expected = KeyboardInterrupt if step == "interrupt" else StorageError
    with pytest.raises(expected) as told:
        pack(runtime_plan(), tree, source_of(tree), NOTHING, out)
    if isinstance(told.value, StorageError):
        assert told.value.what == "The disk is full while writing the wheels."
        assert "free on" in told.value.why
    assert not Path(tree.path, "wheels").exists()
    assert not out.exists()


def test_another_failure_of_packing_is_not_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object, **_more: object) -> object:
        what = "python failed"
        raise ProcessError(what, details=("CMake Error: no such component",))

    tree = build_tree(tmp_path / "b")
    monkeypatch.setattr(room, "run", broken)
    with pytest.raises(BuildError, match="Packing the wheel failed"):
        pack(runtime_plan(), tree, source_of(tree), NOTHING, tmp_path / "out")


def test_wheels_that_do_not_fit_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from buildtool.store import storage

    made = tmp_path / "a-1-py3-none-any.whl"
    made.write_bytes(b"x" * 100)
    wheel = Wheel(
        role="runtime", path=str(made), distribution="a", version="1", tag="any", sha256=room.sha256_of(made), bytes=100
    )
    monkeypatch.setattr(storage, "free_bytes", lambda _path: 99)
    with pytest.raises(StorageError, match="not enough space for the wheels") as told:
        deliver((wheel,), tmp_path / "out")
    assert "--out" in told.value.hint
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.setattr(storage, "free_bytes", lambda _path: 100)
    (there,) = deliver((wheel,), tmp_path / "out")
    assert Path(there.path).read_bytes() == made.read_bytes()
    monkeypatch.setattr(storage, "free_bytes", lambda _path: 0)
    assert deliver((wheel,), tmp_path / "out") == (there,), "what is there already takes no space"


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        require_writable(tmp_path / "file")
