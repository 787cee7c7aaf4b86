"""The toolchain of a root filesystem: CMake and Ninja are those beside gpubuild, shown inside."""

from __future__ import annotations

from pathlib import Path

from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.errors import IncompatibleError
from buildtool.store.entries import Store
from buildtool.store.progress import Progress
from buildtool.toolchain.cuda_wheels import assemble, cuda_options, toolkit_root
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.programs import c_compiler, cmake_path, ninja_path
from buildtool.toolchain.rootfs.layout import ROOT, host_compiler, layout, vulkan_parts
from buildtool.toolchain.rootfs.make import ensure
from buildtool.toolchain.rootfs.suite import Mirror
from buildtool.toolchain.sandbox import open_sandbox


def toolchain_in_rootfs(
    toolkit: PlanToolkit, compiler: PlanCompiler, store: Store, progress: Progress | None, mirror: Mirror | None
) -> Toolchain:
    """Return the toolchain of a root filesystem whose packages are pinned, making it first when it is not there.

    Raises:
        GpubuildError: as `buildtool.toolchain.rootfs.make.ensure`, `layout` and `open_sandbox`.
    """
    cmake, ninja = cmake_path(), ninja_path()
    entry = ensure(toolkit, store=store, progress=progress, mirror=mirror)
    options, env = layout(entry.path, toolkit.kind, toolkit.version, compiler)
    return Toolchain(
        kind=toolkit.kind,
        version=toolkit.version,
        root=ROOT,
        provider="rootfs",
        cmake_options=options,
        env=env,
        cmake=cmake,
        ninja=ninja,
        sandbox=open_sandbox(entry.path, _shown(cmake, ninja)),
    )


def toolchain_on_base(
    base: PlanToolkit,
    toolkit: PlanToolkit | None,
    compiler: PlanCompiler,
    store: Store,
    progress: Progress | None,
    mirror: Mirror | None,
) -> Toolchain:
    """Return the toolchain of an old system's compiler, with a toolkit of the store shown inside under its own path.

    Raises:
        IncompatibleError: the toolkit is of a kind that cannot be shown there.
        GpubuildError: as `toolchain_in_rootfs`.
    """
    if toolkit is not None and toolkit.provider != "pypi":
        what = f"{toolkit.kind} {toolkit.version} ({toolkit.provider}) cannot be shown inside an old system."
        raise IncompatibleError(what, hint="Leave --manylinux out, or take a toolkit from the package registry.")
    entry = ensure(base, store=store, progress=progress, mirror=mirror)
    options = host_compiler(entry.path, compiler)
    cmake, ninja = cmake_path(), ninja_path()
    if toolkit is None:
        return Toolchain(
            kind="host", version="", root=None, provider="host", cmake_options=options, env={}, cmake=cmake,
            ninja=ninja, sandbox=open_sandbox(entry.path, _shown(cmake, ninja)),
        )  # fmt: skip
    made = assemble(toolkit, c_compiler(), store=store, progress=progress)
    root = toolkit_root(made.path)
    return Toolchain(
        kind=toolkit.kind,
        version=toolkit.version,
        root=str(root),
        provider=toolkit.provider,
        cmake_options=options | cuda_options(root, compiler),
        env={},
        cmake=cmake,
        ninja=ninja,
        sandbox=open_sandbox(entry.path, (*_shown(cmake, ninja), str(made.path))),
    )


def vulkan_beside(
    toolkit: PlanToolkit, store: Store, progress: Progress | None, mirror: Mirror | None
) -> tuple[Path, dict[str, str]]:
    """Return root and CMake options of a Vulkan SDK whose tree is used, but not entered.

    Raises:
        GpubuildError: as `buildtool.toolchain.rootfs.make.ensure` and `vulkan_parts`.
    """
    tree = ensure(toolkit, store=store, progress=progress, mirror=mirror).path
    return tree / "usr", vulkan_parts(tree)


def _shown(cmake: str, ninja: str) -> tuple[str, ...]:
    return (str(Path(cmake).parent.parent), str(Path(ninja).parent))
