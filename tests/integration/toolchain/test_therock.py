"""ROCm from a local server with an archive in AMD's form: its clang compiles a kernel for exactly the target."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import redist_archives
import therock_archive

from buildtool.compat.model import PlanCompiler
from buildtool.process import background, run
from buildtool.toolchain import install, installed, remove
from buildtool.toolchain.vendor.offers import look

KERNEL = """\
#include <hip/hip_runtime.h>
__global__ void twice(float * x) { x[threadIdx.x] *= 2; }
void proof(float * x) { twice<<<1, 32>>>(x); }
"""


def has_packages() -> bool:
    """Whether apt here knows the packages."""
    words = ["apt-cache", "show", *therock_archive.PACKAGES]
    return bool(shutil.which("apt-cache")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.slow,
    pytest.mark.skipif(not has_packages(), reason="needs the packages of Debian 12"),
]


def test_a_kernel_compiles_for_exactly_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    served = tmp_path / "served"
    served.mkdir()
    archive = served / "therock-dist-linux-gfx103X-dgpu-7.10.0.tar.gz"
    therock_archive.make(tmp_path / "work", archive)
    port = redist_archives.free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]
    url = f"http://127.0.0.1:{port}"
    host = PlanCompiler(family="gcc", version="", cxx=shutil.which("g++") or "g++", cc=shutil.which("gcc") or "gcc")
    with background(server):
        redist_archives.await_server(url)
        offered, failures = look("linux-x86_64", {"therock": url})
        assert (failures, [(one.version, one.family) for one in offered]) == ((), [("7.10.0", "gfx103X-dgpu")])
        found, chain = install("rocm==7.10.*", host, offered=offered, server=url, targets=("gfx1032",))
    assert found.version == "7.10.0"
    assert installed() == [found]
    source, kernel = tmp_path / "proof.hip", tmp_path / "proof.o"
    source.write_text(KERNEL)
    clang = chain.cmake_options["CMAKE_HIP_COMPILER"]
    flags = ["-x", "hip", "--offload-arch=gfx1032", f"--rocm-path={chain.root}", "-c", str(source), "-o", str(kernel)]
    run([clang, *flags], env={**os.environ, **chain.env})
    inspected = run([sys.executable, "-m", "buildtool", "inspect", str(kernel)]).output
    assert inspected.splitlines()[-1] == "targets: gfx1032"
    remove(found.name)
    assert not Path(found.path).exists()
