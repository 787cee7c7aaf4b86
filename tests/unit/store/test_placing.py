"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from buildtool.store.placing import draft_of, write_whole


def test_a_file_takes_its_place_readable_by_all(tmp_path: Path) -> None:
    place = tmp_path / "größe ü.json"
    place.write_text("old")
    write_whole(place, b"new")
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"new", 0o644)
    assert list(tmp_path.iterdir()) == [place]


def test_a_file_of_its_owner_alone_in_a_new_folder(tmp_path: Path) -> None:
    place = tmp_path / "new" / "key"
    write_whole(place, b"key", mode=0o600)
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"key", 0o600)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = tmp_path / "a"
    place.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(place, b"new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_an_interrupted_draft_is_gone(tmp_path: Path) -> None:
    def stopped() -> None:
        with draft_of(tmp_path / "a") as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(tmp_path.iterdir())
