"""The real pip and uv against a served index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_samples import VERSION, everything

from buildtool.index import build_index, yank
from buildtool.index.serve import IndexServer

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    build_index((everything(tmp_path),), tmp_path)
    with IndexServer(tmp_path, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def install(url: str, name: str, place: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--no-cache-dir", "--index-url", url,
            "--disable-pip-version-check", "--platform", "manylinux_2_34_x86_64", "--only-binary=:all:", "-d",
            str(place), *more, name]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_pip_takes_the_wheel_of_the_target_and_not_a_yanked_or_tampered_one(served: str, tmp_path: Path) -> None:
    done = install(f"{served}/cuda13-sm120/", "gpubuild-llama-cuda13", tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "got").iterdir()] == [
        f"gpubuild_llama_cuda13-{VERSION}.cu130.sm120-py3-none-manylinux_2_34_x86_64.whl"
    ]
    wheel = next(tmp_path.glob("*sm120*.whl"))
    yank(tmp_path, wheel.name, "broken")
    done = install(f"{served}/cuda13-sm120/", "gpubuild-llama-cuda13", tmp_path / "none")
    assert done.returncode != 0
    yank(tmp_path, wheel.name, None)
    wheel.write_bytes(wheel.read_bytes() + b"more")
    done = install(f"{served}/cuda13-sm120/", "gpubuild-llama-cuda13", tmp_path / "bad")
    assert done.returncode != 0
    assert re.search("DO NOT MATCH THE HASHES", done.stderr)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_uv_takes_the_wheel_of_the_target_and_not_a_tampered_one(served: str, tmp_path: Path) -> None:
    def uv_install(place: Path) -> subprocess.CompletedProcess[str]:
        argv = ["uv", "pip", "install", "--no-config", "--no-cache", "--prerelease", "allow", "--index-url",
                f"{served}/cuda13-sm120/", "--target", str(place), "--python", sys.executable,
                "--python-platform", "x86_64-manylinux_2_34", "gpubuild-llama-cuda13"]  # fmt: skip
        env = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    done = uv_install(tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert "sm_120" in (tmp_path / "got" / "gpubuild_llama_cuda13" / "__init__.py").read_text()
    wheel = next(tmp_path.glob("*sm120*.whl"))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("evil.py", "")
    done = uv_install(tmp_path / "bad")
    assert done.returncode != 0
    assert re.search("[Hh]ash mismatch", done.stderr)
