"""A real engine, and an image made of a Debian suite without a registry: a build in it, and one that is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildtool.errors import ProcessError
from buildtool.process import run
from buildtool.toolchain.container.engine import find_engine, find_image
from buildtool.toolchain.container.sandbox import ContainerSandbox, open_image

IMAGE = "gpubuild-test/gcc:12"
MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"


def can_run() -> bool:
    """Whether podman is here and has the image, or can import it."""
    if not shutil.which("podman") or not shutil.which("mmdebstrap"):
        return False
    if subprocess.run(["podman", "image", "exists", IMAGE], check=False).returncode != 0:
        return True
    return subprocess.run(["podman", "run", "--rm", "--network=none", IMAGE, "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.slow,
    pytest.mark.skipif(not can_run(), reason="podman cannot run a container here"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    if subprocess.run(["podman", "image", "exists", IMAGE], check=False).returncode != 0:
        tar = tmp_path_factory.mktemp("image") / "image.tar"
        run(["mmdebstrap", "--variant=minbase", "--include=g++,ccache", "bookworm", str(tar)])
        run(["podman", "import", str(tar), IMAGE])
        tar.unlink()
    return f"podman://{IMAGE}"


@pytest.fixture
def corner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "the störe"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "the cache"))
    return tmp_path


def inside(sandbox: ContainerSandbox, script: str, **paths: list[Path]) -> str:
    argv = sandbox.argv(["/bin/sh", "-c", script], cwd=Path("/"), **paths)
    return run(argv, env=sandbox.environment({"WORD": "a b'c"}), timeout_s=120).output


@pytest.mark.usefixtures("corner")
def test_inside_there_is_no_network_and_nothing_to_write_but_what_is_given(image: str, tmp_path: Path) -> None:
    engine = find_engine(image)
    sandbox = open_image(engine, find_image(engine, image))
    assert sandbox.has("/usr/bin/ccache")
    for name in ("source", "build"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "file").write_text("kept")
    paths = {"readable": [tmp_path / "source"], "writable": [tmp_path / "build"]}
    inside(sandbox, f"cat '{tmp_path}/source/file' > '{tmp_path}/build/copy'", **paths)
    assert (tmp_path / "build" / "copy").read_text() == "kept"
    assert (tmp_path / "build" / "copy").stat().st_uid == os.getuid()
    assert inside(sandbox, 'echo "$WORD $HOME"').strip() == "a b'c /tmp"
    for refused in (f"echo x > '{tmp_path}/source/file'", "echo x > /usr/file", "ls /root/.ssh /home/*"):
        with pytest.raises(ProcessError):
            inside(sandbox, refused, **paths)
    devices = inside(sandbox, "cat /proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def compile_in(image: str, place: Path, *more: str) -> list[str]:
    start = [sys.executable, "-m", "buildtool", "compile", "--in", image, "--backend", "cpu", "--profile", "minimal"]
    return [*start, "--source", str(place / "the tree"), "--out", str(place / "dist"), *more]


def test_a_tree_is_compiled_with_the_images_compiler_and_stays_as_it_was(image: str, corner: Path) -> None:
    shutil.copytree(MINI, corner / "the tree")
    before = {path: path.read_bytes() for path in (corner / "the tree").rglob("*") if path.is_file()}
    argv = compile_in(image, corner, "--build-target", "ggml-base", "--json")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    build = json.loads(done.stdout)["build"]
    (library,) = [path for path in Path(build["path"]).rglob("libggml-base.so*") if not path.is_symlink()]
    assert library.stat().st_uid == os.getuid()
    assert "GCC: (Debian 12" in run(["readelf", "-p", ".comment", str(library)]).output
    assert build["cache"]["launcher"] == "ccache"
    assert {path: path.read_bytes() for path in (corner / "the tree").rglob("*") if path.is_file()} == before


def test_a_build_that_is_stopped_leaves_no_container(image: str, corner: Path) -> None:
    shutil.copytree(MINI, corner / "the tree")
    running = subprocess.Popen(compile_in(image, corner), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not any("ninja" in one for one in containers(corner)):
        assert running.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 143
    deadline = time.monotonic() + 30
    while containers(corner) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert containers(corner) == []


def containers(place: Path) -> list[str]:
    """Return the commands of the containers that work below `place`, in whatever state."""
    listed = run(["podman", "ps", "--all", "--no-trunc", "--format", "{{.Command}}"]).output.splitlines()
    return [line for line in listed if str(place) in line]
