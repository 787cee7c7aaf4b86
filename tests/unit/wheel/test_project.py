"""The packaging project around a built component."""

from __future__ import annotations

import ast
import shutil
import sysconfig
import tomllib
from pathlib import Path

import msgspec
import pytest

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan, PlanCompiler, PlanPatch, PlanSource, PlanToolkit, PlanWheel
from buildtool.errors import BuildError
from buildtool.process import run
from buildtool.runtime import LeftOut, Rung, RuntimeSet, VendorData, VendorLibrary
from buildtool.wheel.project import bracket, write_project

SCRIPTS = sysconfig.get_path("scripts")
RUNTIME = PlanWheel(
    role="runtime", distribution="gpubuild-llama", package="gpubuild_llama", version="0.5.0.dev0+lcp0.3.36.portable"
)
BACKEND = PlanWheel(
    role="backend",
    distribution="gpubuild-llama-cuda13",
    package="gpubuild_llama_cuda13",
    version="0.5.0.dev0+lcp0.3.36.portable.cu130.sm90",
    requires=("gpubuild-llama==0.5.0.dev0+lcp0.3.36.portable", "nvidia-cublas>=13.1,<14"),
)
PLAN = Plan(
    recipe="llama.cpp",
    source=PlanSource(kind="sdist", name="llama-cpp-python-0.3.36", version="0.5.0.dev0"),
    backend="cuda",
    targets=("sm_90",),
    toolkit=PlanToolkit(kind="cuda", version="13.0.88", provider="pypi"),
    host_compiler=PlanCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc"),
    profile="portable",
    cmake_options={},
    runtime="pip",
    wheels=(RUNTIME, BACKEND),
    platform="linux-x86_64",
)


VENDOR = RuntimeSet()


def tree(source: Path, build: Path) -> BuildTree:
    return BuildTree(
        path=str(build), source=str(source), cmake_args=(), env={}, cmake="/opt/cm ake/cmake", ninja="ninja", steps=0,
        seconds=0.0, log=str(build / "log"),
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    source = tmp_path / "source é"
    source.mkdir()
    (source / "LICENSE").write_text("MIT License\n")
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def written(project: Path, wheel: PlanWheel) -> dict[str, object]:
    write_project(project, PLAN, wheel, tree(project.parent / "source é", project.parent / "build dir"), VENDOR)
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def test_a_runtime_wheel_brings_its_commands_and_needs_nothing(project: Path) -> None:
    table = written(project, RUNTIME)["project"]
    assert isinstance(table, dict)
    assert table["name"] == "gpubuild-llama"
    assert table["dependencies"] == []
    assert table["scripts"]["llama-server"] == "gpubuild_llama.commands:llama_server"
    assert (project / "gpubuild_llama" / "commands.py").is_file()
    assert (project / "LICENSE").read_text() == "MIT License\n"


def test_every_command_exists_in_the_package(project: Path) -> None:
    table = written(project, RUNTIME)["project"]
    assert isinstance(table, dict)
    module = ast.parse((project / "gpubuild_llama" / "commands.py").read_text())
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    assert {entry.partition(":")[2] for entry in table["scripts"].values()} <= functions


def test_a_backend_wheel_pins_its_runtime_and_announces_itself(project: Path) -> None:
    table = written(project, BACKEND)["project"]
    assert isinstance(table, dict)
    assert table["dependencies"] == list(BACKEND.requires)
    assert table["entry-points"] == {"gpubuild_llama.backends": {"cuda13": "gpubuild_llama_cuda13"}}
    names: dict[str, object] = {"__file__": "/x/gpubuild_llama_cuda13/__init__.py"}
    exec((project / "gpubuild_llama_cuda13" / "__init__.py").read_text(), names)  # noqa: S102 - what the wheel would run
    assert names["RUNTIME_VERSION"] == RUNTIME.version
    assert names["TARGETS"] == ("sm_90",)
    assert str(names["LIBRARY"]).endswith("gpubuild_llama_cuda13/lib/libggml-cuda.so")


def test_packing_installs_a_component_and_compiles_nothing(project: Path) -> None:
    written(project, BACKEND)
    text = (project / "CMakeLists.txt").read_text()
    assert "LANGUAGES NONE" in text
    assert "--component gpubuild_backend" in text
    assert "[[/opt/cm ake/cmake]]" in text, "a path with a space stays one argument"


@pytest.mark.skipif(shutil.which("cmake", path=SCRIPTS) is None, reason="asks CMake")
def test_cmake_reads_every_path_letter_by_letter(tmp_path: Path) -> None:
    paths = [
        'a"b',
        "a$b",
        "${HOME}",
        "$ENV{HOME}",
        "a;b",
        "a\\b",
        "a\\",
        "a]]b]=]c",
        "]",
        "x]=",
        "#",
        "@A@",
        "'é ü",
        "\nx",
    ]
    lines = [f"file(APPEND [[{tmp_path / 'out'}]] {bracket(path)})\n" for path in paths]
    lines += [f"cmake_language(EVAL CODE {bracket(line)})\n" for line in lines]  # as install(CODE) nests them
    (tmp_path / "script.cmake").write_text("".join(lines), encoding="utf-8")
    run([shutil.which("cmake", path=SCRIPTS) or "", "-P", str(tmp_path / "script.cmake")])
    assert (tmp_path / "out").read_text("utf-8") == "".join(paths) * 2


def test_a_tree_without_a_licence_is_not_packed(project: Path) -> None:
    (project.parent / "source é" / "LICENSE").unlink()
    with pytest.raises(BuildError, match="no licence"):
        written(project, RUNTIME)


def test_bundled_libraries_travel_with_data_and_licences(project: Path) -> None:
    text = project.parent / "licences" / "librocblas4.txt"
    text.parent.mkdir()
    text.write_text("vendor terms")
    rung = Rung(target="gfx1032", name="sibling", donor="gfx1030", reason="kernels for gfx1030, renamed")
    library = VendorLibrary(
        soname="librocblas.so.4", path="/opt/ro cm/lib/librocblas.so.4", bytes=1, package="librocblas4",
        version="6.4.4-4", licence=text.name, rungs=(rung,), changes=("holds device code for gfx1032 only",),
    )  # fmt: skip
    data = VendorData(
        name="rocblas", path="/opt/ro cm/lib/rocblas", bytes=1, files=1, opened_by="librocblas.so.4",
        package="librocblas4", version="6.4.4-4", licence=text.name,
    )  # fmt: skip
    left = LeftOut(soname="libc.so.6", needed_by="librocblas.so.4", reason="the C library")
    bundle = RuntimeSet(
        mode="bundle", libraries=(library,), data=(data,), licences=(str(text),), left_out=(left,), rungs=(rung,)
    )
    write_project(project, PLAN, BACKEND, tree(project.parent / "source é", project.parent / "b"), bundle)
    cmake = (project / "CMakeLists.txt").read_text()
    assert "install(PROGRAMS [[/opt/ro cm/lib/librocblas.so.4]] DESTINATION . RENAME [[librocblas.so.4]])" in cmake
    assert "install(DIRECTORY [[/opt/ro cm/lib/rocblas]] DESTINATION .)" in cmake
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert table["license-files"] == ["LICENSE", "licenses/*"]
    assert [path.read_text() for path in (project / "licenses").iterdir()] == ["vendor terms"]
    readme = (project / "README.md").read_text()
    assert "gfx1032: kernels for gfx1030, renamed" in readme
    assert "| rocblas/ | librocblas4 | 6.4.4-4 | licenses/librocblas4.txt |" in readme
    assert "- librocblas.so.4 holds device code for gfx1032 only" in readme
    assert "- libc.so.6 (librocblas.so.4): the C library" in readme


@pytest.mark.parametrize("cut", [True, False])
def test_a_wheel_with_what_must_not_be_passed_on_is_kept_from_registries(project: Path, *, cut: bool) -> None:
    plan = msgspec.structs.replace(PLAN, thin_vendor=True) if cut else PLAN
    source = tree(project.parent / "source é", project)
    for role in (BACKEND, RUNTIME):
        (project / role.role).mkdir()
        write_project(project / role.role, plan, role, source, VENDOR)
    private = {role: "Private :: Do Not Upload" in (project / role / "pyproject.toml").read_text() for role in
               ("backend", "runtime")}  # fmt: skip
    assert private == {"backend": cut, "runtime": False}


def test_a_backend_tells_of_its_patches_and_the_runtime_does_not(project: Path) -> None:
    patch = PlanPatch(name="hip-rdna1", sha256="0" * 64, targets=("gfx1013",))
    plan = msgspec.structs.replace(PLAN, patches=(patch,))
    source = tree(project.parent / "source é", project)
    (project / "b").mkdir()
    (project / "r").mkdir()
    write_project(project / "b", plan, BACKEND, source, VENDOR)
    write_project(project / "r", plan, RUNTIME, source, VENDOR)
    module = (project / "b" / BACKEND.package / "__init__.py").read_text()
    assert f"PATCHES = (('hip-rdna1', '{patch.sha256}', 'gfx1013'),)" in module
    assert "patched: hip-rdna1 (gfx1013; sha256 000" in (project / "b" / "README.md").read_text()
    assert "patched" not in (project / "r" / "README.md").read_text()


def test_a_wheel_of_a_local_tree_does_not_say_where_the_tree_lay(project: Path, tmp_path: Path) -> None:
    """The lock inside names the tree without its path, so nobody could make the same bytes again."""
    source = PlanSource(kind="local", name="/home/anna/llama.cpp", version="0.0.0", url="/home/anna/llama.cpp")
    plan = msgspec.structs.replace(PLAN, source=source)
    write_project(project, plan, RUNTIME, tree(tmp_path / "source é", tmp_path / "build"), VENDOR)
    texts = [path.read_text("utf-8") for path in project.rglob("*") if path.suffix in {".md", ".toml", ".py"}]
    assert any("built by gpubuild from llama.cpp." in text for text in texts)
    assert not [text for text in texts if "/home/" in text]
