from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from file_server import FileServer, loopback
from hypothesis import given
from hypothesis import strategies as st
from toolkit_samples import HEADER, VERSION, compiler, nvcc, script, toolkit

from buildtool.compat.model import Pin, PlanToolkit
from buildtool.compat.pypi_sets import CudaSet, cuda_sets, matching_sets
from buildtool.compat.rootfs import RootfsRow
from buildtool.errors import (
    DataError,
    IncompatibleError,
    IntegrityError,
    InvalidInputError,
    MissingToolError,
    ProcessError,
    UnknownNameError,
)
from buildtool.store.storage import delete_tree
from buildtool.toolchain import acquire, available, choose, installed, remove, show
from buildtool.toolchain.programs import cmake_path, ninja_path
from buildtool.toolchain.stub import build_stub, driver_symbols

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(autouse=True)
def without_pip(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildtool.store.index.configured_registry", lambda: loopback(server))


def test_wheels_become_a_toolkit_cmake_understands(server: FileServer, tmp_path: Path) -> None:
    host = compiler(tmp_path)
    made = acquire(toolkit(server, tmp_path), host)
    root = Path(str(made.root))
    assert (made.kind, made.version, made.provider) == ("cuda", VERSION, "pypi")
    assert made.cmake_options == {
        "CMAKE_C_COMPILER": host.cc,
        "CMAKE_CXX_COMPILER": host.cxx,
        "CMAKE_CUDA_COMPILER": str(root / "bin/nvcc"),
        "CUDAToolkit_ROOT": str(root),
        "CMAKE_CUDA_HOST_COMPILER": host.cxx,
    }
    assert os.access(root / "bin/nvcc", os.X_OK)
    for library in ("libcudart", "libcublas", "libcublasLt"):
        assert (root / f"lib64/{library}.so").readlink() == Path(f"{library}.so.13")
    assert (root / "lib64/stubs/libcuda.so").exists()
    assert not list(root.rglob("*.c"))
    assert "-soname,libcuda.so.1" in (tmp_path / "arguments").read_text()
    assert not (root / "bin/nvcc").stat().st_mode & 0o222


def test_a_second_time_nothing_is_fetched(server: FileServer, tmp_path: Path) -> None:
    plan = toolkit(server, tmp_path)
    first = acquire(plan, compiler(tmp_path))
    server.requests.clear()
    reordered = msgspec.structs.replace(plan, pins=tuple(reversed(plan.pins)))
    assert acquire(reordered, compiler(tmp_path)) == first
    assert not server.requests


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (nvcc("13.1.80"), IntegrityError),
        (script("echo nothing"), IntegrityError),
        (script("exit 3"), ProcessError),
    ],
)
def test_a_toolkit_whose_nvcc_is_wrong_never_enters_the_store(
    server: FileServer, tmp_path: Path, place: Path, program: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        acquire(toolkit(server, tmp_path, program=program), compiler(tmp_path))
    assert not list((place / "store").glob("cuda/*"))
    assert not list((place / "store").glob("tmp/*"))
    assert installed() == []


def test_no_toolkit_means_the_host_compiler_alone(tmp_path: Path) -> None:
    made = acquire(None, compiler(tmp_path))
    assert (made.kind, made.root, made.provider) == ("host", None, "host")
    assert "CMAKE_CUDA_COMPILER" not in made.cmake_options


def test_a_missing_host_compiler_names_its_package(tmp_path: Path) -> None:
    gone = msgspec.structs.replace(compiler(tmp_path), cxx="/nowhere/g++")
    with pytest.raises(MissingToolError, match="/nowhere/g") as caught:
        acquire(None, gone)
    assert "apt install g++" in caught.value.hint


def system(tmp_path: Path, kind: str, version: str) -> PlanToolkit:
    return PlanToolkit(kind=kind, version=version, provider="system", path=str(tmp_path))  # type: ignore[arg-type]


def program(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["12.4.131", "12.4"])
def test_an_installed_cuda_is_used_where_it_lies(tmp_path: Path, version: str) -> None:
    found = program(tmp_path / "bin/nvcc", nvcc("12.4.131"))
    made = acquire(system(tmp_path, "cuda", version), compiler(tmp_path))
    assert made.provider == "system"
    assert made.cmake_options["CMAKE_CUDA_COMPILER"] == str(found)


def test_an_installed_cuda_of_another_version_is_refused(tmp_path: Path) -> None:
    program(tmp_path / "bin/nvcc", nvcc("11.8.89"))
    with pytest.raises(IntegrityError, match=r"not version 12\.4"):
        acquire(system(tmp_path, "cuda", "12.4"), compiler(tmp_path))


@pytest.mark.parametrize("kind", ["cuda", "rocm"])
def test_an_installed_toolkit_that_is_gone_is_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MissingToolError):
        acquire(system(tmp_path / "gone", kind, "7.0"), compiler(tmp_path))


@pytest.mark.parametrize("place", ["llvm/bin", "lib/llvm/bin", "lib/llvm-21/bin"], indirect=False)
def test_clang_is_found_in_every_rocm_layout(tmp_path: Path, place: str) -> None:
    clang = program(tmp_path / place / "clang++", script(""))
    made = acquire(system(tmp_path, "rocm", "7.0"), compiler(tmp_path))
    assert made.cmake_options["CMAKE_HIP_COMPILER"] == str(clang)
    # Debian's clang no longer finds its device libraries when the variable is set.
    assert made.env.get("ROCM_PATH") == (None if "llvm-21" in place else str(tmp_path))


def test_of_several_clangs_the_newest_is_taken(tmp_path: Path) -> None:
    for number in (9, 21, 17):
        program(tmp_path / f"lib/llvm-{number}/bin/clang++", script(""))
    made = acquire(system(tmp_path, "rocm", "7.0"), compiler(tmp_path))
    assert "llvm-21" in made.cmake_options["CMAKE_HIP_COMPILER"]


def test_of_several_clangs_the_newest_with_device_libraries_is_taken(tmp_path: Path) -> None:
    """As on Debian, where hipcc brings one clang, and somebody has installed a newer one."""
    for number in (9, 17, 21):
        program(tmp_path / f"lib/llvm-{number}/bin/clang++", script(""))
    for number in (9, 17):
        (tmp_path / f"lib/llvm-{number}/lib/clang/{number}/amdgcn/bitcode").mkdir(parents=True)
    made = acquire(system(tmp_path, "rocm", "7.0"), compiler(tmp_path))
    assert "llvm-17" in made.cmake_options["CMAKE_HIP_COMPILER"]


def test_rocm_without_clang_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="no clang"):
        acquire(system(tmp_path, "rocm", "7.0"), compiler(tmp_path))


def test_vulkan_finds_its_shader_compiler(tmp_path: Path) -> None:
    glslc = program(tmp_path / "bin/glslc", script(""))
    made = acquire(system(tmp_path, "vulkan", "1.3"), compiler(tmp_path))
    assert made.cmake_options["Vulkan_GLSLC_EXECUTABLE"] == str(glslc)
    host = compiler(tmp_path)
    assert made.env == {"VULKAN_SDK": str(tmp_path), "CC": host.cc, "CXX": host.cxx}, "its generator asks for these"


def test_what_cannot_be_fetched_is_refused(tmp_path: Path) -> None:
    plan = PlanToolkit(kind="rocm", version="7.0", provider="pypi")
    with pytest.raises(IncompatibleError):
        acquire(plan, compiler(tmp_path))


def test_installed_toolkits_are_listed_shown_and_removed(server: FileServer, tmp_path: Path, place: Path) -> None:
    acquire(toolkit(server, tmp_path), compiler(tmp_path))
    (only,) = installed()
    assert only.version == VERSION
    assert only.bytes > 0
    assert "nvidia-cublas 13.0.88" in only.wheels
    for name in (VERSION, f"cuda=={VERSION}", f"cuda {VERSION}", only.name):
        assert show(name) == only
    assert remove(VERSION) == only
    assert installed() == []
    assert not Path(only.path).exists()
    assert not list((place / "store").glob("tmp/*"))


def test_a_toolkit_whose_content_is_gone_is_listed_and_can_be_removed(server: FileServer, tmp_path: Path) -> None:
    acquire(toolkit(server, tmp_path), compiler(tmp_path))
    (only,) = installed()
    Path(only.path).parents[1].chmod(0o755)
    delete_tree(Path(only.path).parent)
    assert [one.name for one in installed()] == [only.name]
    assert remove(VERSION).name == only.name
    assert installed() == []


def test_a_name_nobody_knows_suggests_a_near_one(server: FileServer, tmp_path: Path) -> None:
    acquire(toolkit(server, tmp_path), compiler(tmp_path))
    with pytest.raises(UnknownNameError, match=r"13\.0\.8'") as caught:
        show("13.0.8")
    assert "cuda-13.0.88" in caught.value.hint


def test_driver_symbols_are_those_a_program_links() -> None:
    names = driver_symbols(HEADER)
    expected = {"cuInit", "cuMemAlloc_v2", "cuMemcpyHtoD_v2", "cuMemcpyHtoD_v2_ptds", "cuMemcpyAsync_ptsz", "cuThing7"}
    assert expected <= set(names)
    assert not {"CUDA_VERSION", "CUhostFn"} & set(names)
    assert all(name.isidentifier() for name in names)


def test_a_header_of_another_form_is_told(tmp_path: Path) -> None:
    (tmp_path / "cuda.h").write_text("int cuInit(void);")
    with pytest.raises(DataError):
        build_stub(tmp_path / "cuda.h", tmp_path / "libcuda.so", "cc")


def test_cmake_and_ninja_are_the_programs_themselves() -> None:
    for path in (cmake_path(), ninja_path()):
        with Path(path).open("rb") as stream:
            assert stream.read(2) != b"#!"


def test_cmake_and_ninja_come_from_path_without_their_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", _no_module)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="ninja"):
        ninja_path()
    found = program(tmp_path / "ninja", script(""))
    assert ninja_path() == str(found)


def _no_module(name: str) -> None:
    raise ImportError(name)


LINUX = "linux-x86_64"


def test_the_newest_fitting_set_is_chosen() -> None:
    assert choose("cuda==13.0.*", LINUX).version == "13.0.88"
    assert choose("CUDA", LINUX) == cuda_sets_for(LINUX)[0]
    exact = choose("cuda==13.0.2", LINUX)
    assert isinstance(exact, CudaSet)
    assert exact.meta == "13.0.2"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("cuda==11.8", "cuda-11.8-bookworm"),
        ("cuda<13", "cuda-12.4-trixie"),
        ("rocm==7.*", "rocm-7.0-sid"),
        ("rocm==7.2.*", "rocm-7.2-experimental"),
        ("rocm-7.2-experimental", "rocm-7.2-experimental"),
        ("vulkan", "vulkan-1.4.309-trixie"),
        ("vulkan==1.4.363", "vulkan-1.4.363-sid"),
    ],
)
def test_what_no_registry_has_becomes_a_root_filesystem(spec: str, name: str) -> None:
    chosen = choose(spec, LINUX)
    assert isinstance(chosen, RootfsRow)
    assert chosen.name == name


def cuda_sets_for(platform: str) -> list[object]:
    return [row for row in cuda_sets() if row.platform == platform]


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("cuda==9.*", IncompatibleError, "12.4, 11.8"),
        ("rocm==5.*", IncompatibleError, "On offer: 7.2, 7.0"),
        ("vulkan==1.2", IncompatibleError, "On offer: 1.4.363, 1.4.309"),
        ("cdua", UnknownNameError, "Did you mean cuda?"),
        ("cuda=13", InvalidInputError, "cuda==13.0"),
        ("", InvalidInputError, "cuda==13.0"),
    ],
)
def test_a_wish_that_cannot_be_met_says_what_can(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        choose(spec, LINUX)
    assert words in f"{caught.value.details}{caught.value.hint}"  # type: ignore[attr-defined]


def test_a_platform_without_wheels_is_told() -> None:
    with pytest.raises(IncompatibleError) as caught:
        choose("cuda==13.*", "macos-aarch64")
    assert "macos-aarch64" in caught.value.why
    assert available("macos-aarch64") == ()


COMPONENTS = {
    "nvidia-cublas",
    "nvidia-cuda-cccl",
    "nvidia-cuda-crt",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-runtime",
    "nvidia-nvvm",
}


def test_every_set_is_whole_and_pinned() -> None:
    for row in cuda_sets():
        pins: dict[str, Pin] = {pin.name: pin for pin in row.pins}
        assert pins.keys() == COMPONENTS
        assert pins["nvidia-cuda-nvcc"].version == row.version
        assert all(len(pin.sha256) == 64 and int(pin.sha256, 16) for pin in row.pins)
        assert all(pin.filename.startswith(f"{pin.name.replace('-', '_')}-{pin.version}-") for pin in row.pins)
        assert row.source


def test_every_set_has_its_own_key_in_a_table_without_doubles() -> None:
    keys = [(row.meta, row.platform) for row in cuda_sets()]
    assert len(keys) == len(set(keys))
    assert {platform for _, platform in keys} == {LINUX, "linux-aarch64", "windows-x86_64"}


@given(st.text(max_size=20))
def test_any_specifier_is_answered(text: str) -> None:
    try:
        rows = matching_sets(text, LINUX)
    except InvalidInputError:
        return
    assert all(row.platform == LINUX for row in rows)
