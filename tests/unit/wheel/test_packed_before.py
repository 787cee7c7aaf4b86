"""Wheels are packed anew when what goes into them changed, a newer gpubuild's own package included."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from buildtool import wheel as room
from buildtool.build.model import BuildTree


@pytest.fixture
def tree(tmp_path: Path) -> BuildTree:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "llama-server").write_bytes(b"x")
    return msgspec.convert(
        {
            "path": str(tmp_path), "source": "", "cmake_args": [], "env": {}, "cmake": "cmake", "ninja": "ninja",
            "steps": 0, "seconds": 0.0, "log": "",
        },
        type=BuildTree,
    )  # fmt: skip


def test_what_was_built_counts_and_the_package_around_it(
    tree: BuildTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = room._built(tree)
    assert room._built(tree) == first
    newer = tmp_path / "payload"
    newer.mkdir()
    (newer / "__init__.py").write_text("# newer")
    monkeypatch.setattr(room, "PAYLOAD", newer)
    second = room._built(tree)
    assert second != first
    (tmp_path / "bin" / "llama-server").write_bytes(b"xy")
    assert room._built(tree) != second
