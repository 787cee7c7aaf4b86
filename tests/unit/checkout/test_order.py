"""What is going to be built of a checkout: presets, targets, what the machine must have; before anything is copied."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Literal, cast

import checkout
import msgspec
import pytest
from elftools.elf.elffile import ELFFile
from typer.testing import CliRunner

from buildtool.checkout import majors, make_order, needs, require
from buildtool.checkout.copying import refreshed
from buildtool.checkout.facts import facts
from buildtool.checkout.libc import newest_glibc
from buildtool.checkout.presets import Presets
from buildtool.cli.main import app
from buildtool.cli.ollama_checkout import _too_new as too_new
from buildtool.compat import resolve
from buildtool.compat.model import Backend, Plan, PlanToolkit, Request
from buildtool.errors import GpubuildError, IncompatibleError, InvalidInputError, MissingToolError
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem
from buildtool.source.ollama import OllamaTree, recognise

GCC = HostCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc")
LINUX = OperatingSystem(system="linux", machine="x86_64", id="debian", version="12", name="Debian", kernel="6.1")
HOST = Host(os=LINUX, host_compilers=(GCC,))


def plan_for(backend: Backend, *targets: str, toolkit: str = "") -> Plan:
    """A plan as the engine would make it where such a toolkit is."""
    plain = resolve(Request(backend="cpu"), HOST)
    kind = cast("Literal['cuda', 'rocm', 'vulkan']", backend)
    kit = PlanToolkit(kind=kind, version=toolkit, provider="system", path="/opt") if toolkit else None
    return msgspec.structs.replace(plain, backend=backend, targets=targets, toolkit=kit)


def old_tree(folder: Path) -> OllamaTree:
    """The old layout without ggml's sources, which only a build needs."""
    empty = folder / "empty"
    (empty / "ggml/include").mkdir(parents=True)
    (empty / "ggml/src").mkdir()
    return tree_of(checkout.old(folder / "ollama", empty))


def tree_of(folder: Path) -> OllamaTree:
    found = recognise(folder)
    assert found is not None
    return found


def test_the_new_layout_takes_a_list_by_its_preset_for_that(tmp_path: Path) -> None:
    tree = tree_of(checkout.new(tmp_path))
    cpu, gpu = make_order(tree, plan_for("rocm", "gfx1032", toolkit="7.0.2"), (), whole=False).parts
    assert (cpu.preset, cpu.build_dir, cpu.variables) == ("cpu", "build/llama-server-cpu", {})
    assert gpu.preset == "rocm_v7_2_user_arch", "rocm_v7_1 has no list for Linux: it is for Windows"
    assert gpu.variables == {"CMAKE_HIP_ARCHITECTURES": "gfx1032"}
    assert (gpu.build, gpu.build_dir, gpu.component) == (gpu.preset, "build/llama-server-rocm_v7_2", "llama-server")


def test_a_runner_is_called_by_the_rocm_that_is_inside(tmp_path: Path) -> None:
    tree = tree_of(checkout.new(tmp_path / "n"))
    for version, runner in (("7.0.2", "rocm_v7_0"), ("7.2.1", ""), ("7.2", ""), ("10", "rocm_v10_0")):
        for whole in (False, True):
            order = make_order(tree, plan_for("rocm", "gfx1032", toolkit=version), ("gfx1032",), whole=whole)
            assert [part.runner for part in order.parts] == ["", runner]
    old = make_order(old_tree(tmp_path), plan_for("rocm", "gfx1032", toolkit="7.0.2"), (), whole=False)
    assert old.parts[1].runner == "", "its folder bears no release"


def test_cuda_takes_the_presets_of_its_toolkit(tmp_path: Path) -> None:
    tree = tree_of(checkout.new(tmp_path))
    assert majors(tree) == (13, 12)
    for version, preset in (("12.4.1", "llama_cuda_v12_user_arch"), ("13.0.88", "llama_cuda_v13_user_arch")):
        order = make_order(tree, plan_for("cuda", "sm_90", "sm_120a", toolkit=version), (), whole=False)
        assert order.parts[1].preset == preset
        assert order.parts[1].variables == {"CMAKE_CUDA_ARCHITECTURES": "90-real;120a-real"}
    with pytest.raises(IncompatibleError, match="llama_cuda_v11_user_arch"):
        make_order(tree, plan_for("cuda", "sm_37", toolkit="11.8.0"), (), whole=False)


def test_beside_ollamas_own_list(tmp_path: Path) -> None:
    order = make_order(old_tree(tmp_path), plan_for("rocm", toolkit="6.4"), ("gfx1032",), whole=True)
    gpu = order.parts[1]
    assert gpu.preset == "ROCm 6"
    assert gpu.variables == {"AMDGPU_TARGETS": "gfx900;gfx1030;gfx1100;gfx90a:xnack-;gfx1032"}
    new = make_order(tree_of(checkout.new(tmp_path / "n")), plan_for("rocm", toolkit="7.2"), ("gfx1032",), whole=True)
    assert (new.parts[1].preset, new.parts[1].variables) == ("rocm_v7_2_linux", {}), "its list is patched"


def test_the_old_layout(tmp_path: Path) -> None:
    tree = old_tree(tmp_path)
    cpu, gpu = make_order(tree, plan_for("cuda", "sm_37", toolkit="11.8.0"), (), whole=False).parts
    assert (cpu.preset, cpu.build, cpu.build_dir, cpu.component) == ("CPU", "CPU", "build", "CPU")
    assert (gpu.preset, gpu.build_dir, gpu.component) == ("CUDA 11", "build", "CUDA")
    assert gpu.variables == {"CMAKE_CUDA_ARCHITECTURES": "37-real"}
    with pytest.raises(IncompatibleError, match="no preset 'Vulkan'"):
        make_order(tree, plan_for("vulkan"), (), whole=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "no file of CMake presets"), ("[]", "no file of CMake presets"),
     ('{"configurePresets": [{"name": "a", "binaryDir": "$env{HOME}/b"}]}', "where it builds"),
     ('{"configurePresets": [{"name": "a"}]}', "where it builds")],
)  # fmt: skip
def test_a_damaged_file_of_presets_is_called_that(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "CMakePresets.json").write_text(text)
    with pytest.raises(InvalidInputError, match=words):
        Presets(tmp_path / "CMakePresets.json").build_dir("a")


def test_presets_inherit_and_a_circle_ends(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "inherits": ["b", "c"], "cacheVariables": {"X": {"type": "STRING", "value": "1"}}},
        {"name": "b", "inherits": "a", "cacheVariables": {"X": "2", "Y": "3"}},
        {"name": "c", "binaryDir": "${sourceDir}/../${presetName}", "hidden": True},
    ]
    (tmp_path / "p").mkdir()
    (tmp_path / "p/CMakePresets.json").write_text(json.dumps({"configurePresets": rows}))
    found = Presets(tmp_path / "p/CMakePresets.json")
    assert (found.value("a", "X"), found.value("a", "Y"), found.value("a", "Z")) == ("1", "3", "")
    assert found.build_dir("a") == tmp_path / "a"
    assert found.names == ("a", "b")
    with pytest.raises(InvalidInputError, match="no build preset"):
        found.build_of("a")


# --- what the machine must have --------------------------------------------------------------------------------------


def order_of(tree: OllamaTree) -> object:
    return make_order(tree, plan_for("cpu"), (), whole=False)


@pytest.mark.parametrize(
    ("here", "toolchain", "good"),
    [
        ("1.19.8", "", False),
        ("1.23.1", "", True),
        ("1.23.1", "local", False),
        ("1.24.1", "local", True),
        (None, "", False),
    ],
)
def test_go_is_asked_for_its_version_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str | None, toolchain: str, *, good: bool
) -> None:
    (checkout.new(tmp_path) / "go.mod").write_text("module github.com/ollama/ollama\n\ngo 1.24.1\n")
    monkeypatch.setenv("GOTOOLCHAIN", toolchain)
    monkeypatch.setattr(needs, "go_here", lambda: here)
    tree = tree_of(tmp_path)
    compiler = plan_for("cpu").host_compiler
    if good:
        assert any("Go" in words for words in require(order_of(tree), compiler))  # type: ignore[arg-type]
        return
    with pytest.raises(MissingToolError) as caught:
        require(order_of(tree), compiler)  # type: ignore[arg-type]
    assert "Go 1.24.1" in caught.value.details[0]


def test_cmake_and_the_compiler_are_compared_with_what_the_checkout_and_its_documents_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "go_here", lambda: "1.30.0")
    tree = old_tree(tmp_path)
    compiler = msgspec.structs.replace(plan_for("cpu").host_compiler, version="9.4.0")
    (Path(tree.path) / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 99.1)\n")
    with pytest.raises(MissingToolError) as caught:
        require(order_of(tree), compiler)  # type: ignore[arg-type]
    assert [words.partition(";")[0] for words in caught.value.details] == [
        "It needs CMake 99.1",
        "It needs gcc 11.4",
    ]


def test_every_row_of_the_table_has_its_parts() -> None:
    for layout in ("new", "old"):
        assert {row.backend for row in facts().parts if row.layout == layout} == {"cpu", "cuda", "rocm", "vulkan"}


# --- the copy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file to folder", "folder to file", "link to folder"])
def test_a_name_that_was_a_file_may_become_a_folder_and_back(tmp_path: Path, way: str) -> None:
    top = checkout.new(tmp_path / "o")
    first, last = (top / "x", top / "x/inside") if way != "folder to file" else (top / "x/inside", top / "x")
    first.parent.mkdir(exist_ok=True)
    if way == "link to folder":
        first.symlink_to("main.go")
    else:
        first.write_text("one")
    copy, _ = refreshed(order_of(tree_of(top)), tmp_path / "work")  # type: ignore[arg-type]
    first.unlink()
    if first.parent != top:
        first.parent.rmdir()
        (copy / "x/built.o").write_text("what the build put there")
    last.parent.mkdir(exist_ok=True)
    last.write_text("two")
    (top / "main.go").write_text(checkout.GO["main.go"])
    copy, _ = refreshed(order_of(tree_of(top)), tmp_path / "work")  # type: ignore[arg-type]
    assert (copy / last.relative_to(top)).read_text() == "two"
    assert (copy / "main.go").read_text() == checkout.GO["main.go"]
    assert not first.exists() or first.is_dir()


# --- what came out ----------------------------------------------------------------------------------------------------


def test_the_c_library_that_is_needed_is_read_from_the_files(tmp_path: Path) -> None:
    assert newest_glibc(tmp_path) == ""
    (tmp_path / "lib/deep").mkdir(parents=True)
    (tmp_path / "lib/text.so").write_text("no library")
    (tmp_path / "lib/cut.so").write_bytes(b"\x7fELF\2\1" + bytes(90))
    (tmp_path / "lib/loop").symlink_to("loop")
    assert newest_glibc(tmp_path) == ""
    python = Path(sys.executable).resolve()
    shutil.copy(python, tmp_path / "lib/deep/program")
    with python.open("rb") as handle:
        section = next(iter(ELFFile(handle).iter_sections(type="SHT_GNU_verneed")))
        names = [version.name for _, versions in section.iter_versions() for version in versions]
    found = [tuple(map(int, name.removeprefix("GLIBC_").split(".")[:2])) for name in names if name.startswith("GLIBC_")]
    assert newest_glibc(tmp_path) == ".".join(map(str, max(found)))


def test_what_does_not_start_here_is_said() -> None:
    host = msgspec.structs.replace(HOST, libc=Libc(name="glibc", version="2.36"))
    assert too_new("2.36", host) == too_new("2.4", host) == too_new("", host) == ""
    assert "needs glibc 2.43, here is 2.36" in too_new("2.43", host)
    assert too_new("2.43", msgspec.structs.replace(HOST, libc=Libc(name="musl", version="1.2"))) == ""


# --- the command ------------------------------------------------------------------------------------------------------


def refused(*words: str) -> GpubuildError:
    result = CliRunner().invoke(app, ["compile", *words])
    assert isinstance(result.exception, GpubuildError), result.output
    return result.exception


def test_options_for_wheels_are_refused_by_name(tmp_path: Path) -> None:
    tree = checkout.new(tmp_path)
    error = refused("--source", str(tree), "--profile", "native", "--runtime", "bundle", "--backend", "cpu")
    assert error.what == "--profile, --runtime are for wheels of llama.cpp."


def test_what_stands_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    tree = checkout.new(tmp_path / "o")
    (tmp_path / "dist/ollama").mkdir(parents=True)
    error = refused("--source", str(tree), "--backend", "cpu", "--out", str(tmp_path / "dist"))
    assert "did not put it there" in error.what


def test_makefiles_are_not_driven_and_the_commands_are_told(tmp_path: Path) -> None:
    tree = checkout.write(tmp_path, {"go.mod": checkout.GO["go.mod"]})
    error = refused("--source", str(tree), "--target", "sm_37")
    assert error.exit_code == 12
    assert 'make -j CUDA_ARCHITECTURES="37"' in error.details
