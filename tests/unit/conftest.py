"""A store and a registry of the test's own, for every room that fetches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "store"))

from file_server import FileServer


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, a cache and a registry of this test only, below a path that is not plain ASCII."""
    root = tmp_path / "Größe und Ort"
    monkeypatch.setenv("GPUBUILD_STORE", str(root / "store"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(root / "cache"))
    monkeypatch.setenv("GPUBUILD_INDEX_URL", f"{server.url}/simple/")
    return root
