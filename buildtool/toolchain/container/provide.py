"""The toolchain of an image: where its compilers lie, told by asking inside."""

from __future__ import annotations

import re
from pathlib import Path

from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.errors import MissingToolError
from buildtool.probe.model import ContainerImage
from buildtool.process import run
from buildtool.toolchain.container.engine import find_engine, same_image
from buildtool.toolchain.container.sandbox import TIMEOUT_S, ContainerSandbox, open_image
from buildtool.toolchain.installed import CLANG_PLACES, DEVICE_LIBRARIES, rocm_options
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.programs import cmake_path, ninja_path


def require_image(image: ContainerImage) -> None:
    """Make sure that this machine has the image of a plan, and an engine for it.

    Raises:
        MissingToolError: it has not.
    """
    same_image(find_engine(image.name), image)


def toolchain_inside(toolkit: PlanToolkit | None, compiler: PlanCompiler, wanted: ContainerImage) -> Toolchain:
    """Return the toolchain of a plan's image; CMake and Ninja are those beside gpubuild, shown inside.

    Raises:
        MissingToolError: no engine, another image, or the toolkit is not in it.
    """
    engine = find_engine(wanted.name)
    cmake, ninja = cmake_path(), ninja_path()
    shown = (str(Path(cmake).parent.parent), str(Path(ninja).parent))
    sandbox = open_image(engine, same_image(engine, wanted), shown)
    options = {"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx}
    found, env = _toolkit(toolkit, compiler, sandbox) if toolkit is not None else ({}, {})
    return Toolchain(
        kind=toolkit.kind if toolkit is not None else "host",
        version=toolkit.version if toolkit is not None else "",
        root=toolkit.path if toolkit is not None else None,
        provider="system" if toolkit is not None else "host",
        cmake_options=options | found,
        env=env,
        cmake=cmake,
        ninja=ninja,
        sandbox=sandbox,
    )


def _toolkit(
    toolkit: PlanToolkit, compiler: PlanCompiler, sandbox: ContainerSandbox
) -> tuple[dict[str, str], dict[str, str]]:
    root = toolkit.path or "/usr"
    if toolkit.kind == "cuda":
        nvcc = f"{root}/bin/nvcc"
        options = {"CMAKE_CUDA_COMPILER": nvcc, "CUDAToolkit_ROOT": root, "CMAKE_CUDA_HOST_COMPILER": compiler.cxx}
        return options, {}
    if toolkit.kind == "rocm":
        clangs = _ask(sandbox, " ".join(f'"$1"/{place}/clang++' for place in CLANG_PLACES), root)
        libraries = _ask(sandbox, f'"$1"/{DEVICE_LIBRARIES}', root)
        return rocm_options(Path(root), toolkit.version, list(map(Path, clangs)), list(map(Path, libraries)))
    glslc = _ask(sandbox, '"$1"/bin/glslc /usr/bin/glslc', root)
    if not glslc:
        what = f"The Vulkan SDK at {root} in the image has no glslc."
        raise MissingToolError(what, hint="Take an image with the shader compiler: packages glslc and libvulkan-dev.")
    return {"Vulkan_GLSLC_EXECUTABLE": glslc[0]}, {} if root == "/usr" else {"VULKAN_SDK": root}


def _ask(sandbox: ContainerSandbox, patterns: str, root: str) -> list[str]:
    """Return the programs and folders inside that fit shell patterns in which ``$1`` is `root`."""
    script = f'for one in {patterns}; do if test -x "$one"; then echo "found $one"; fi; done'
    argv = sandbox.argv(["/bin/sh", "-c", script, "sh", root], cwd=Path("/"))
    said = run(argv, env=sandbox.environment({}), timeout_s=TIMEOUT_S).output
    return re.findall(r"^found (\S.*)$", said, re.MULTILINE)
