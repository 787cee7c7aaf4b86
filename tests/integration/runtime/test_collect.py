"""A bundle of real ELF files from a small imitation toolkit, under the real patchelf and the real loader."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from runtime_samples import cuda_build

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan
from buildtool.compat.recipes import recipe_directory
from buildtool.errors import BuildError
from buildtool.process import run
from buildtool.runtime import collect
from buildtool.runtime.closure import needed
from buildtool.runtime.rpath import runpath
from buildtool.toolchain.model import Toolchain

pytestmark = pytest.mark.toolchain

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"


def library(path: Path, *uses: Path) -> Path:
    """Link a real shared library whose soname is its file's name and that needs every one of `uses`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    link = ["g++", "-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{path.name}", "-o", path]
    subprocess.run([*link, "-x", "c++", "/dev/null", "-x", "none", *uses], check=True)
    return path


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    root = tmp_path / "wheels" / "nvidia" / "toolkit é"
    library(root / "lib/libcublas.so.13", library(root / "lib/libcublasLt.so.13"), library(root / "lib/libcuda.so.1"))
    library(root / "lib/libcufft.so.12")  # nobody needs it
    (root / "EULA.txt").write_text("the vendor's terms\n")
    return root


def given(tmp_path: Path, toolkit: Path, runtime: str) -> tuple[Plan, Toolchain, BuildTree]:
    bin_dir = tmp_path / "build/bin"
    own = library(bin_dir / "libggml-base.so.0")
    library(bin_dir / "libggml-cuda.so", toolkit / "lib/libcublas.so.13", toolkit / "lib/libcuda.so.1", own)
    return cuda_build(tmp_path / "build", toolkit, "sm_90", runtime=runtime)


def test_the_closed_set_travels_without_the_drivers_own_library(tmp_path: Path, toolkit: Path) -> None:
    plan, toolchain, tree = given(tmp_path, toolkit, "bundle")
    assert "libcuda.so.1" in needed(tmp_path / "build/bin/libggml-cuda.so")
    chosen = collect(plan, toolchain, tree)
    assert [one.soname for one in chosen.libraries] == ["libcublas.so.13", "libcublasLt.so.13"]
    assert all(one.bytes == Path(one.path).stat().st_size for one in chosen.libraries)
    assert [Path(text).read_text() for text in chosen.licences] == ["the vendor's terms\n"]
    assert "libcuda.so.1" in {one.soname for one in chosen.left_out}


def test_the_libraries_find_each_other_wherever_they_are_and_nvidias_keep_their_bytes(
    tmp_path: Path, toolkit: Path
) -> None:
    """NVIDIA's own have no RUNPATH here, and get none: the module of the real recipe looks for what they need."""
    chosen = collect(*given(tmp_path, toolkit, "bundle"))
    place = tmp_path / "else where" / "gpubuild_llama_cuda13" / "lib"
    shutil.copytree(str(chosen.root), place)
    for one in chosen.libraries:
        assert (place / one.soname).read_bytes() == (toolkit / "lib" / one.soname).read_bytes()
    install_module(tmp_path, toolkit, place)
    shutil.rmtree(toolkit)
    shutil.rmtree(tmp_path / "build")
    module = place / "libggml-cuda.so"
    assert runpath(module).split(":")[0] == "$ORIGIN"
    said = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    assert f"libcublas.so.13 => {place}/libcublas.so.13" in said
    assert f"libcublasLt.so.13 => {place}/libcublasLt.so.13" in said


def install_module(tmp_path: Path, toolkit: Path, place: Path) -> None:
    """Build and install a CUDA module of the small imitation of llama.cpp with the real recipe."""
    source, build = tmp_path / "llama.cpp", tmp_path / "mini"
    shutil.copytree(MINI, source)
    with (source / "CMakeLists.txt").open("a") as project:
        project.write("add_library(ggml-cuda MODULE src/base.cpp)\n")
        project.write(f'target_link_libraries(ggml-cuda PRIVATE "{toolkit}/lib/libcublas.so.13")\n')
    options = {
        "CMAKE_PROJECT_TOP_LEVEL_INCLUDES": recipe_directory("llama.cpp") / "gpubuild.cmake",
        "GPUBUILD_BACKEND": "ggml-cuda", "GPUBUILD_BACKEND_RPATH": "$ORIGIN:$ORIGIN/../../gpubuild_llama/lib",
        "GPUBUILD_BACKEND_RPATH_FOR_ALL": "ON", "CMAKE_SHARED_LINKER_FLAGS": "-Wl,--no-as-needed",
        "CMAKE_MODULE_LINKER_FLAGS": f"-Wl,--no-as-needed -Wl,-rpath-link,'{toolkit}/lib'",
    }  # fmt: skip
    defined = [f"-D{name}={value}" for name, value in options.items()]
    run(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build), *defined], timeout_s=120)
    run(["cmake", "--build", str(build), "--target", "gpubuild_backend"], timeout_s=120)
    run(["cmake", "--install", str(build), "--component", "gpubuild_backend", "--prefix", str(place)], timeout_s=60)


def test_the_wheel_of_a_library_gives_its_name_version_and_licence(tmp_path: Path, toolkit: Path) -> None:
    info = tmp_path / "wheels/nvidia_cublas-13.0.2.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "licenses/License.txt").write_text("the terms of cuBLAS\n")
    (info / "RECORD").write_text("nvidia/toolkit é/lib/libcublas.so.13,,\n", encoding="utf-8")
    chosen = {one.soname: one for one in collect(*given(tmp_path, toolkit, "bundle")).libraries}
    cublas, other = chosen["libcublas.so.13"], chosen["libcublasLt.so.13"]
    assert (cublas.package, cublas.version, cublas.licence) == ("nvidia-cublas", "13.0.2", "nvidia-cublas.txt")
    assert (other.package, other.licence) == ("", "EULA.txt")


@pytest.mark.parametrize("runtime", ["pip", "system"])
def test_nothing_travels_when_the_libraries_come_otherwise(tmp_path: Path, toolkit: Path, runtime: str) -> None:
    assert collect(*given(tmp_path, toolkit, runtime)).libraries == ()


def test_a_toolkit_without_its_terms_is_not_copied(tmp_path: Path, toolkit: Path) -> None:
    (toolkit / "EULA.txt").unlink()
    with pytest.raises(BuildError, match="No licence text"):
        collect(*given(tmp_path, toolkit, "bundle"))
