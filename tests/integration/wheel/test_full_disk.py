"""A disk that fills up while wheels are packed, at every point where that can happen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buildtool.errors import StorageError
from buildtool.runtime import RuntimeSet
from buildtool.wheel import pack

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "wheel"))

from pack_samples import build_tree, runtime_plan, source_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a small file system needs root"),
]
MEGABYTES = 6.0  # of files to pack; half of it compresses away
TREE = 6.2


@contextmanager
def small_disk(place: Path, megabytes: float) -> Iterator[Path]:
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1e6)}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("more", [0.0, 0.1, 3.0, 6.5, 9.0, 11.5])
def test_the_build_directory_fills_up(tmp_path: Path, more: float) -> None:
    """From no room at all, over the staging folder, to the draft beside it; what comes later needs no more."""
    out = tmp_path / "out"
    with small_disk(tmp_path / "small", TREE + more) as place:
        tree = build_tree(place / "tree", megabytes=MEGABYTES)
        with pytest.raises(StorageError) as told:
            pack(runtime_plan(), tree, source_of(tree), RuntimeSet(), out)
        assert told.value.exit_code == 10
        assert told.value.what == "The disk is full while writing the wheels."
        assert str(place) in told.value.why
        assert not (place / "tree" / "wheels").exists()
        assert not out.exists()


def test_with_room_enough_it_is_packed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", TREE + 14.0) as place:
        tree = build_tree(place / "tree", megabytes=MEGABYTES)
        (made,) = pack(runtime_plan(), tree, source_of(tree), RuntimeSet(), tmp_path / "out")
        assert Path(made.path).is_file()


def test_the_folder_for_the_wheels_is_too_small(tmp_path: Path) -> None:
    tree = build_tree(tmp_path / "tree", megabytes=MEGABYTES)
    with small_disk(tmp_path / "small", 1.0) as place:
        with pytest.raises(StorageError, match="not enough space for the wheels") as told:
            pack(runtime_plan(), tree, source_of(tree), RuntimeSet(), place / "out")
        assert "--out" in told.value.hint
        assert not list((place / "out").iterdir())
