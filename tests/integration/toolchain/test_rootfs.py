"""A real root filesystem of a real suite: made without root, entered without network, and a kernel compiled in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from buildtool.compat.model import PlanRootfs, PlanToolkit
from buildtool.errors import NetworkError, ProcessError
from buildtool.process import run
from buildtool.store.entries import Store
from buildtool.toolchain.provide import pinned
from buildtool.toolchain.rootfs.make import ensure
from buildtool.toolchain.sandbox import Sandbox, open_sandbox

pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.skipif(not (shutil.which("mmdebstrap") and shutil.which("bwrap")), reason="needs mmdebstrap and bwrap"),
]

SMALL = PlanToolkit(
    kind="cuda",
    version="11.8",
    provider="rootfs",
    rootfs=PlanRootfs(
        name="small-bookworm",
        architecture="amd64",
        suites=("bookworm",),
        components=("main",),
        packages=("base-files", "bash", "coreutils", "dash"),
        leave_out=("/usr/share/doc/*",),
    ),
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    root = tmp_path_factory.mktemp("gpubuild é")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUBUILD_CACHE", str(root / "the cache"))
        store = Store(root / "the store")
        entry = ensure(pinned(SMALL, store=store), store=store)
    return open_sandbox(entry.path)


def inside(sandbox: Sandbox, script: str, **paths: list[Path]) -> str:
    argv = sandbox.argv(["/bin/sh", "-c", script], cwd=Path("/"), **paths)
    return run(argv, env=sandbox.environment({}), timeout_s=60).output


def test_it_is_the_suite_that_was_asked_for(sandbox: Sandbox) -> None:
    assert "bookworm" in inside(sandbox, "cat /etc/os-release")
    kept = [path.name for path in (Path(sandbox.tree) / "usr/share/doc/bash").iterdir()]
    assert kept == ["copyright"]  # of the documentation, what must travel with a library


def test_everything_in_it_belongs_to_this_user_and_can_be_deleted(sandbox: Sandbox) -> None:
    assert {path.lstat().st_uid for path in Path(sandbox.tree).rglob("*")} == {os.getuid()}


def test_inside_there_is_no_network_no_home_and_nothing_to_write_but_what_is_given(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("kept")
    (tmp_path / "build").mkdir()
    paths = {"readable": [tmp_path / "source"], "writable": [tmp_path / "build"]}
    inside(sandbox, f"cat '{tmp_path}/source/file' > '{tmp_path}/build/copy'", **paths)
    assert (tmp_path / "build" / "copy").read_text() == "kept"
    for refused in (
        f"echo x > '{tmp_path}/source/file'",
        "echo x > /usr/file",
        "ls /root/* /home/*",
        "ls /etc/shadow-",
    ):
        with pytest.raises(ProcessError):
            inside(sandbox, refused, **paths)
    devices = inside(sandbox, "cat /proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_a_version_that_the_suite_never_had_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    exact = pinned(SMALL, store=Store(Path(sandbox.tree).parents[2]))
    gone = tuple(msgspec.structs.replace(pin, version="0.0-1") if pin.name == "bash" else pin for pin in exact.pins)
    with pytest.raises(NetworkError, match="no longer carries"):
        ensure(msgspec.structs.replace(exact, pins=gone), store=Store(tmp_path / "store"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wish", "backend", "target"),
    [
        (("--backend", "rocm", "--add-target", "gfx1032"), "hip", "gfx1032"),
        (("--backend", "cuda", "--target", "sm_35", "--toolkit", "cuda==11.8"), "cuda", "sm_35"),
        (("--backend", "cuda", "--target", "sm_61", "--toolkit", "cuda==12.4"), "cuda", "sm_61"),
    ],
)
def test_kernels_compile_for_exactly_the_target(
    wish: tuple[str, ...], backend: str, target: str, tmp_path: Path
) -> None:
    """Uses the user's own store: a root filesystem is made once, in minutes, and has gigabytes."""
    folder = f"ggml/src/ggml-{backend}/CMakeFiles/ggml-{backend}.dir" + ("/__/ggml-cuda" if backend == "hip" else "")
    files = [f"{folder}/{name}.cu.o" for name in ("acc", "scale")]
    words = [word for name in files for word in ("--build-target", name)]
    build = gpubuild("compile", *wish, "--profile", "minimal", "--out", str(tmp_path), *words)["build"]
    assert isinstance(build, dict)
    for name in files:
        assert gpubuild("inspect", str(Path(build["path"], name)))["targets"] == [target]


def gpubuild(*arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "buildtool", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result
