"""Turn a plan's toolkit and host compiler into a ready `Toolchain`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.errors import IncompatibleError, MissingToolError
from buildtool.probe.model import ContainerImage
from buildtool.store.entries import Store
from buildtool.store.progress import Progress
from buildtool.toolchain.cuda_wheels import assemble, check_nvcc, cuda_options, toolkit_root
from buildtool.toolchain.here import platform_name
from buildtool.toolchain.installed import rocm_toolchain, vulkan_toolchain
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.programs import COMPILER_HINT, cmake_path, ninja_path
from buildtool.toolchain.rootfs.suite import Mirror, find_mirror
from buildtool.toolchain.vendor import provide as vendor


def acquire(  # noqa: PLR0913 - everything that decides where compilers come from meets here
    toolkit: PlanToolkit | None,
    compiler: PlanCompiler,
    *,
    base: PlanToolkit | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
    mirror: Mirror | None = None,
    server: str | None = None,
    inside: ContainerImage | None = None,
) -> Toolchain:
    """Make the compilers of a plan ready and say how CMake finds them.

    Args:
        toolkit: the plan's toolkit; None for a backend that needs only the host compiler.
        compiler: the plan's host compiler.
        base: the old system that everything is compiled in; None for this machine.
        progress: told about downloads, unpacking and waiting.
        store: where fetched toolkits are kept (default: the user's store).
        mirror: where Debian packages come from (default: apt's configuration).
        server: address of the vendor's server, for a toolkit from one (default: the environment's).
        inside: the container image that holds all of it.

    Raises:
        MissingToolError: the host compiler or an installed toolkit is not where the plan says.
        IncompatibleError: the toolkit is of a kind that cannot be fetched.
        NetworkError, IntegrityError, StorageError: see `assemble` in `buildtool.toolchain.cuda_wheels` and
            `buildtool.toolchain.vendor.provide`.
    """
    if inside is not None:
        from buildtool.toolchain.container.provide import toolchain_inside

        return toolchain_inside(toolkit, compiler, inside)
    store = store or Store()
    if base is not None:
        from buildtool.toolchain.rootfs.provide import toolchain_on_base

        require_usable(base)
        return toolchain_on_base(base, toolkit, compiler, store, progress, mirror)
    if toolkit is not None and toolkit.provider == "rootfs" and toolkit.kind != "vulkan":
        from buildtool.toolchain.rootfs.provide import toolchain_in_rootfs

        require_usable(toolkit)
        exact = pinned(toolkit, progress=progress, store=store, mirror=mirror)
        return toolchain_in_rootfs(exact, compiler, store, progress, mirror)
    return _here(toolkit, compiler, store, progress, mirror=mirror, server=server)


def _here(
    toolkit: PlanToolkit | None,
    compiler: PlanCompiler,
    store: Store,
    progress: Progress | None,
    *,
    mirror: Mirror | None,
    server: str | None,
) -> Toolchain:
    """Return the toolchain of this machine's own compiler, with the toolkit beside it."""
    for program in (compiler.cxx, compiler.cc):
        if shutil.which(program) is None:
            what = f"The host compiler {program} is not on this machine."
            raise MissingToolError(what, hint=COMPILER_HINT)
    host = Toolchain(
        kind="host",
        version="",
        root=None,
        provider="host",
        cmake_options={"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx},
        env={},
        cmake=cmake_path(),
        ninja=ninja_path(),
    )
    if toolkit is None:
        return host
    root, more, env = _toolkit(toolkit, compiler, store, progress, mirror=mirror, server=server)
    return msgspec.structs.replace(
        host,
        kind=toolkit.kind,
        version=toolkit.version,
        root=str(root),
        provider=toolkit.provider,
        cmake_options=host.cmake_options | more,
        env=env,
    )


ToolkitT = TypeVar("ToolkitT", bound=PlanToolkit | None)


def pinned(
    toolkit: ToolkitT,
    platform: str = "",
    *,
    progress: Progress | None = None,
    store: Store | None = None,
    mirror: Mirror | None = None,
    server: str | None = None,
) -> ToolkitT:
    """Return the toolkit with nothing left open: which packages or archives, in which versions, it will consist of.

    A root filesystem of the store is taken as it is, however old, so that nothing changes until it is removed.

    Args:
        toolkit: of a plan.
        platform: the plan's (default: this machine's).
        progress: told what is looked up.
        store: where fetched toolkits are kept (default: the user's store).
        mirror: where Debian packages come from (default: apt's configuration).
        server: address of the vendor's server, for a toolkit from one (default: the environment's).

    Raises:
        GpubuildError: as `buildtool.toolchain.rootfs.resolve.resolve` and `buildtool.toolchain.vendor.provide.look_up`.
    """
    if toolkit is None or toolkit.pins:
        return toolkit
    if vendor.is_served(toolkit):
        version, pins = vendor.look_up(toolkit, platform or platform_name(), url=server, progress=progress)
        return msgspec.structs.replace(toolkit, version=version, pins=pins)
    if toolkit.rootfs is None:
        return toolkit
    from buildtool.toolchain.rootfs.make import KIND, pins_of
    from buildtool.toolchain.rootfs.resolve import resolve

    made = [entry for entry in (store or Store()).entries(KIND) if entry.facts.get("name") == toolkit.rootfs.name]
    if made:
        return msgspec.structs.replace(toolkit, pins=pins_of(max(made, key=lambda entry: entry.created)))
    if progress is not None:
        progress.note(f"Looking up the packages of {toolkit.rootfs.name}.")
    return msgspec.structs.replace(toolkit, pins=resolve(toolkit.rootfs, mirror or find_mirror()).pins)


def require_usable(toolkit: PlanToolkit | None, inside: ContainerImage | None = None) -> None:
    """Make sure that this machine can use a toolkit, before anything is fetched for it.

    Raises:
        MissingToolError: it is in a root filesystem or an image, and this machine cannot enter it.
    """
    if inside is not None:
        from buildtool.toolchain.container.provide import require_image

        require_image(inside)
    if toolkit is not None and toolkit.rootfs is not None and toolkit.kind != "vulkan":
        from buildtool.toolchain.sandbox import require_namespaces

        require_namespaces()


def _toolkit(
    toolkit: PlanToolkit,
    compiler: PlanCompiler,
    store: Store,
    progress: Progress | None,
    *,
    mirror: Mirror | None,
    server: str | None,
) -> tuple[Path, dict[str, str], dict[str, str]]:
    # ggml builds its shader generator as a project of its own, which knows nothing of CMAKE_CXX_COMPILER.
    generator = {"CC": compiler.cc, "CXX": compiler.cxx}
    if toolkit.provider == "rootfs":
        from buildtool.toolchain.rootfs.provide import vulkan_beside

        exact = pinned(toolkit, progress=progress, store=store, mirror=mirror)
        return *vulkan_beside(exact, store, progress, mirror), generator
    if toolkit.provider == "pypi":
        if toolkit.kind != "cuda" or not toolkit.pins:
            what = f"{toolkit.kind} {toolkit.version} cannot be fetched from a package registry."
            raise IncompatibleError(what, hint="Install it, then plan again.")
        entry = assemble(toolkit, compiler.cc, store=store, progress=progress)
        root = toolkit_root(entry.path)
        return root, cuda_options(root, compiler), {}
    if vendor.is_served(toolkit):
        exact = pinned(toolkit, progress=progress, store=store, server=server)
        root = vendor.assemble(exact, compiler.cc, store=store, progress=progress, url=server)
        return root, *(
            (cuda_options(root, compiler), {}) if toolkit.kind == "cuda" else rocm_toolchain(root, toolkit.version)
        )
    root = Path(toolkit.path or "")
    if not toolkit.path or not root.is_dir():
        what = f"The {toolkit.kind} {toolkit.version} of the plan is not installed at {toolkit.path}."
        raise MissingToolError(what, hint="Plan again: gpubuild plan")
    if toolkit.kind == "cuda":
        check_nvcc(root, toolkit.version)
        return root, cuda_options(root, compiler), {}
    if toolkit.kind == "rocm":
        return root, *rocm_toolchain(root, toolkit.version)
    options, env = vulkan_toolchain(root)
    return root, options, env | generator
