"""Deleting a tree reaches nothing outside of it."""

from __future__ import annotations

from pathlib import Path

from buildtool.store.storage import delete_tree


def test_of_a_link_nothing_but_itself_goes(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "mine").touch()
    link = tmp_path / "link"
    link.symlink_to(private)
    delete_tree(link)
    assert not link.is_symlink()
    assert (private / "mine").exists()
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_file_goes_as_a_tree_does_and_nothing_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        delete_tree(tmp_path / name)
        assert not (tmp_path / name).exists()
