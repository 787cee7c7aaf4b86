"""Every source on offer is what the recipe says: its file, its versions, and the options it knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildtool.compat import resolve
from buildtool.compat.model import Plan, Request
from buildtool.compat.recipes import RecipeSource, load_recipe
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall
from buildtool.source import acquire

pytestmark = [pytest.mark.network, pytest.mark.slow]

HOST = Host(
    os=OperatingSystem(system="linux", machine="x86_64", id="debian", version="12", name="Debian 12", kernel="6.1"),
    libc=Libc(name="glibc", version="2.36"),
    host_compilers=(HostCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc"),),
    toolkits=(
        ToolkitInstall(kind="rocm", version="6.4.3", path="/opt/rocm"),
        ToolkitInstall(kind="vulkan", version="1.4", path="/usr"),
    ),
)
BACKENDS = {"cpu": (), "cuda": ("sm_90",), "rocm": ("gfx1030",), "vulkan": ()}
NOT_OF_THE_PROJECT = re.compile(r"CMAKE_|GPUBUILD_|BUILD_SHARED_LIBS$|GPU_TARGETS$")


def plans(source: RecipeSource) -> list[Plan]:
    return [
        resolve(Request(source=source.name, backend=backend, targets=targets, profile=profile), HOST)  # type: ignore[arg-type]
        for backend, targets in BACKENDS.items()
        for profile in ("portable", "native", "minimal")
    ]


@pytest.mark.parametrize("source", load_recipe("llama.cpp").sources, ids=lambda source: source.name)
def test_a_source_knows_every_option_it_is_given(source: RecipeSource) -> None:
    found = plans(source)
    tree = Path(acquire(found[0].source).path)
    text = "".join((tree / name).read_text("utf-8") for name in ("CMakeLists.txt", "ggml/CMakeLists.txt"))
    for plan in found:
        ours = [name for name in plan.cmake_options if not NOT_OF_THE_PROJECT.match(name)]
        unknown = [name for name in ours if not re.search(rf"(option *\( *|NOT DEFINED ){name}\b", text)]
        assert not unknown, f"{plan.backend}, {plan.profile}"
    stated = dict(
        re.findall(r"(?:LLAMA|GGML)_VERSION_(MAJOR|MINOR|PATCH) (\d+)", text.partition("GGML_VERSION_MAJOR")[0])
    )
    if stated:
        assert source.version.startswith("{MAJOR}.{MINOR}.{PATCH}".format(**stated))
    ggml = re.findall(r"GGML_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text)[:3]
    assert ".".join(ggml) == source.ggml
