"""CUDA from a local server with NVIDIA's redistributables: configures, compiles device code, links, and is removed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import redist_archives
from test_cuda_from_wheels import KERNEL, PROJECT

from buildtool.compat.model import PlanCompiler
from buildtool.compat.pypi_sets import matching_sets
from buildtool.process import background, run
from buildtool.toolchain import install, remove
from buildtool.toolchain.vendor.offers import look

pytestmark = [pytest.mark.network, pytest.mark.toolchain, pytest.mark.slow]
RELEASE = "13.0.2"


def test_a_project_builds_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cxx, cc = shutil.which("g++"), shutil.which("gcc")
    if not cxx or not cc:
        pytest.skip("no GCC here")
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    served = tmp_path / "served"
    served.mkdir()
    redist_archives.make(served, RELEASE, matching_sets(f"=={RELEASE}", "linux-x86_64")[0].pins)
    port = redist_archives.free_port()
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(served)]
    url = f"http://127.0.0.1:{port}"
    with background(server):
        redist_archives.await_server(url)
        offered, failures = look("linux-x86_64", {"redist": url})
        assert (failures, [one.version for one in offered]) == ((), [RELEASE])
        found, chain = install(
            f"cuda=={RELEASE}", PlanCompiler(family="gcc", version="", cxx=cxx, cc=cc), offered=offered, server=url
        )
    redist_archives.remove(served)
    assert chain.version == "13.0.88"
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "proof.cu").write_text(KERNEL)
    options = [f"-D{name}={value}" for name, value in chain.cmake_options.items()]
    places = ["-S", str(tmp_path), "-B", str(tmp_path / "b"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={chain.ninja}"]
    run([chain.cmake, *places, *options, "-DCMAKE_CUDA_ARCHITECTURES=90"])
    run([chain.cmake, "--build", str(tmp_path / "b")])
    needed = run(["readelf", "-d", str(tmp_path / "b/libproof.so")]).output
    assert all(f"[{library}]" in needed for library in ("libcuda.so.1", "libcublas.so.13", "libcudart.so.13"))
    remove(found.name)
    assert not Path(found.path).exists()
