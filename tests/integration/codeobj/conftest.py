"""Fetches wheels that other people built, and NVIDIA's listing tool, through pip."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

Fetch = Callable[..., Path]


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``GPUBUILD_TEST_DOWNLOADS`` keeps what was fetched between two runs."""
    kept = os.environ.get("GPUBUILD_TEST_DOWNLOADS")
    return Path(kept) if kept else tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def fetch(downloads: Path) -> Fetch:
    def fetch_wheel(name: str, *options: str) -> Path:
        folder = downloads / "-".join([name, *(word for word in options if not word.startswith("--"))])
        if not list(folder.glob("*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
            done = subprocess.run([*command, *options, name], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"pip cannot fetch {name}: {done.stderr[-300:]}")
        return next(folder.glob("*.whl"))

    return fetch_wheel


@pytest.fixture(scope="session")
def unpacked(fetch: Fetch) -> Callable[..., list[Path]]:
    """The libraries of a wheel, unpacked beside it."""

    def unpack(name: str, *options: str) -> list[Path]:
        wheel = fetch(name, *options)
        folder = wheel.with_suffix("")
        if not folder.is_dir():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        wanted = {".so", ".dll", ".pyd"}
        return sorted(path for path in folder.rglob("*") if wanted & set(path.suffixes) and path.is_file())

    return unpack


@pytest.fixture(scope="session")
def cuobjdump(fetch: Fetch, downloads: Path) -> Path:
    wheel = fetch("nvidia-cuda-cuobjdump")
    folder = downloads / "cuobjdump"
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("bin/cuobjdump"))
        path = Path(archive.extract(name, folder))
    path.chmod(0o755)
    return path
