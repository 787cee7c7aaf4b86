from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from compat_machines import debian

from buildtool.build.configure import backend_rpath, cmake_arguments
from buildtool.build.costs import CostBook
from buildtool.build.door import Door
from buildtool.build.launcher import _find
from buildtool.build.uses import builds_with, toolkit_places
from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.probe.model import Tool
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.sandbox import Sandbox


def sandbox(tree: Path) -> Sandbox:
    (tree / "usr" / "bin").mkdir(parents=True)
    return Sandbox(tree=str(tree), program="/usr/bin/bwrap", isolation=())


def test_on_this_machine_a_command_stays_as_it_is() -> None:
    assert Door(env={}).argv(["ninja", "-n"]) == ["ninja", "-n"]


def test_inside_the_source_is_readable_and_only_build_and_cache_are_writable(tmp_path: Path) -> None:
    door = Door(
        env={}, sandbox=sandbox(tmp_path), readable=("/home/me/source",), writable=("/home/me/build", "/home/me/cache")
    )
    words = door.argv(["ninja"])
    shown = {words[n + 1]: word for n, word in enumerate(words) if word in {"--bind", "--ro-bind"}}
    assert shown["/home/me/source"] == "--ro-bind"
    assert shown["/home/me/build"] == shown["/home/me/cache"] == "--bind"
    assert words[-4:] == ["--chdir", "/home/me/build", "--", "ninja"]


def test_inside_only_the_cache_that_is_there_is_found(tmp_path: Path) -> None:
    toolchain = Toolchain(
        kind="rocm", version="7.0", root="/usr", provider="rootfs", cmake_options={}, env={}, cmake="cmake",
        ninja="ninja", sandbox=sandbox(tmp_path),
    )  # fmt: skip
    assert _find("ccache", toolchain) is None
    (tmp_path / "usr" / "bin" / "ccache").touch()
    (tmp_path / "usr" / "bin" / "sccache").touch()
    assert _find("ccache", toolchain) == "/usr/bin/ccache"
    assert _find("sccache", toolchain) is None, "its server would compile outside"


def test_builds_tell_which_toolkit_they_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path))
    stamps = {
        "one": {"toolkits": ["/store/a/tree"]}, "two": {"toolkits": ["/store/b/tree", "/store/c/tree/nvidia/cu13"]},
        "odd": {"toolkits": [1]}, "old": {"arguments": "x"},
    }  # fmt: skip
    for name, stamp in stamps.items():
        (tmp_path / "build" / name).mkdir(parents=True)
        (tmp_path / "build" / name / "gpubuild-configure.json").write_text(json.dumps(stamp))
    (tmp_path / "build" / "old" / "gpubuild-configure.json").write_text("damaged")
    assert builds_with("/store/a/tree") == (str(tmp_path / "build" / "one"),)
    assert builds_with("/store/c/tree/nvidia/cu13") == (str(tmp_path / "build" / "two"),)


def test_a_build_in_an_old_system_uses_the_system_and_its_toolkit(tmp_path: Path) -> None:
    inside = Toolchain(
        kind="cuda", version="13.0.88", root="/store/cuda/tree", provider="pypi", cmake_options={}, env={},
        cmake="cmake", ninja="ninja", sandbox=sandbox(tmp_path / "tree"),
    )  # fmt: skip
    assert toolkit_places(inside) == (str(tmp_path / "tree"), "/store/cuda/tree")
    assert toolkit_places(msgspec.structs.replace(inside, sandbox=None)) == ("/store/cuda/tree",)
    assert toolkit_places(msgspec.structs.replace(inside, sandbox=None, root=None)) == ()


@pytest.mark.parametrize(
    ("toolkit", "target", "places"),
    [
        ("cuda==13.0.*", "sm_90", ["nvidia/cu13/lib"]),
        ("cuda==11.8", "sm_35", ["nvidia/cuda_runtime/lib", "nvidia/cublas/lib"]),
    ],
)
def test_a_module_finds_nvidias_wheels_of_its_major_release(toolkit: str, target: str, places: list[str]) -> None:
    tools = tuple(Tool(name=name, version=None, path=f"/usr/bin/{name}") for name in ("mmdebstrap", "bwrap"))
    plan = resolve(Request(backend="cuda", targets=(target,), toolkit=toolkit), debian(tools=tools))
    found = backend_rpath(plan).split(":")
    assert [place.removeprefix("$ORIGIN/../../") for place in found[2:]] == places
    assert backend_rpath(msgspec.structs.replace(plan, runtime="bundle")).split(":") == found[:2]


@pytest.mark.parametrize(("runtime", "inherited"), [("pip", False), ("bundle", True)])
def test_a_module_looks_for_what_bundled_libraries_need(tmp_path: Path, runtime: str, *, inherited: bool) -> None:
    plan = resolve(Request(backend="cuda", targets=("sm_90",), runtime=runtime), debian())  # type: ignore[arg-type]
    toolchain = Toolchain(
        kind="cuda", version="13.0.88", root="/opt", provider="pypi", cmake_options={}, env={}, cmake="cmake",
        ninja="ninja",
    )  # fmt: skip
    found = cmake_arguments(plan, toolchain, None, CostBook(tmp_path / "costs", tmp_path / "none"))
    assert ("-DGPUBUILD_BACKEND_RPATH_FOR_ALL=ON" in found) is inherited
