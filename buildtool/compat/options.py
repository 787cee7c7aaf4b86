"""Every toolkit one could build with: installed, fetched from a package registry, or to be had elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.model import LAUNCHERS, Backend
from buildtool.compat.pypi_sets import CudaSet, cuda_sets
from buildtool.compat.rootfs import RootfsRow, missing_programs, rootfs_for
from buildtool.compat.vendor import newest_first
from buildtool.compat.versions import Release
from buildtool.probe.model import Host, Offered, ToolkitInstall

Provider = Literal["system", "pypi", "redist", "therock", "therock-wheels", "rootfs", "elsewhere"]
UNKNOWN_VULKAN = "1.4"  # an SDK that does not tell its version, and one to be installed, is taken for a current one
DISTRIBUTION_ROOTS = ("/usr", "/usr/lib/nvidia-cuda-toolkit", "/usr/lib/cuda")


class ToolkitOption(msgspec.Struct, frozen=True, kw_only=True):
    """One way to have a toolkit.

    Attributes:
        kind: which toolkit.
        version: the compiler's version (``13.0.88``), or only the release (``12.4``).
        names: every version number it answers to in a wish.
        provider: ``elsewhere``: somebody must install it first.
        install: the installation, for ``system``.
        wheels: the set of wheels, for ``pypi``.
        offered: what a server that the user named offers, for ``redist`` and ``therock``.
        rootfs: the root filesystem to make, for ``rootfs``.
        place: where to get it, for ``elsewhere``.
        cuda: the row of its CUDA release, if there is one.
        rocm: the row of its ROCm release, if there is one.
        patched: a distribution keeps it compiling with its own C library.
    """

    kind: Literal["cuda", "rocm", "vulkan"]
    version: str
    names: tuple[str, ...]
    provider: Provider
    install: ToolkitInstall | None = None
    wheels: CudaSet | None = None
    offered: Offered | None = None
    rootfs: RootfsRow | None = None
    place: tables.Place | None = None
    cuda: tables.CudaToolkit | None = None
    rocm: tables.RocmRelease | None = None
    patched: bool = False

    @property
    def release(self) -> Release:
        """The version as numbers."""
        return Release.parse(self.version)

    @property
    def entered(self) -> bool:
        """Whether compilers run inside a root filesystem, and not on the machine itself."""
        return self.rootfs is not None and self.rootfs.compiler is not None


def launchers_of(option: ToolkitOption | None, host: Host) -> tuple[str, ...]:
    """Return the compiler caches that can be used with a toolkit, best first."""
    # In a root filesystem or container sccache's server would have to run inside as well; ccache has none.
    inside = host.image is not None or (option is not None and option.entered)
    return ("ccache",) if inside else LAUNCHERS


def platform_of(host: Host) -> str:
    """Return ``linux-x86_64`` and the like."""
    machine = host.os.machine.lower()
    return f"{host.os.system}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"


def options_for(backend: Backend, host: Host) -> Iterator[ToolkitOption | None]:
    """Yield every toolkit for `backend`; None where the backend needs none."""
    if backend == "cpu":
        yield None
    elif backend == "cuda":
        yield from _cuda(host)
    elif backend == "rocm":
        yield from _rocm(host)
    else:
        yield from _vulkan(host)


def _installs(host: Host, kind: str) -> Iterator[ToolkitInstall]:
    yield from sorted(
        (install for install in host.toolkits if install.kind == kind and Release.read(install.version)),
        key=lambda install: (install.version or "", install.path),
    )


def _offered(host: Host, kind: str) -> Iterator[Offered]:
    """Yield what named servers offer for this machine, in an order of its own; of one release's builds the newest."""
    known = [one for one in host.offered if one.kind == kind and Release.read(one.version)]
    newest: dict[tuple[str, str, tuple[int, ...]], Offered] = {}
    for one in newest_first(known):
        newest.setdefault((one.provider, one.family, Release.parse(one.version).numbers), one)
    yield from sorted(newest.values(), key=lambda one: (one.provider, one.version, one.family))


def _cuda(host: Host) -> Iterator[ToolkitOption]:
    rows = {row.release.minor: row for row in tables.cuda_toolkits()}
    for install in _installs(host, "cuda"):
        version = install.version or ""
        yield ToolkitOption(
            kind="cuda", version=version, names=(version,), provider="system", install=install,
            cuda=rows.get(Release.parse(version).minor), patched=_is_packaged(install),
        )  # fmt: skip
    platform = platform_of(host)
    for wheels in cuda_sets():
        if wheels.platform == platform and host.image is None:
            yield ToolkitOption(
                kind="cuda", version=wheels.version, names=(wheels.version, wheels.meta), provider="pypi",
                wheels=wheels, cuda=rows.get(Release.parse(wheels.version).minor),
            )  # fmt: skip
    for offered in _offered(host, "cuda"):
        yield ToolkitOption(
            kind="cuda", version=offered.version, names=(offered.version,), provider=offered.provider, offered=offered,
            cuda=rows.get(Release.parse(offered.version).minor),
        )  # fmt: skip
    if not missing_programs(host, "cuda"):
        yield from rootfs_options("cuda", platform)
    for row in rows.values():
        for place in _places("cuda", row.version, host):
            yield ToolkitOption(
                kind="cuda", version=row.version, names=(row.version,), provider="elsewhere",
                place=place, cuda=row, patched=place.patched,
            )  # fmt: skip


def _is_packaged(install: ToolkitInstall) -> bool:
    """Whether a distribution installed it: then its headers fit that distribution's C library."""
    return install.path.rstrip("/") in DISTRIBUTION_ROOTS


def _rocm(host: Host) -> Iterator[ToolkitOption]:
    rows = {Release.parse(row.version).minor: row for row in tables.rocm_releases()}
    for install in _installs(host, "rocm"):
        version = install.version or ""
        yield ToolkitOption(
            kind="rocm", version=version, names=(version,), provider="system", install=install,
            rocm=rows.get(Release.parse(version).minor), patched=_is_packaged(install),
        )  # fmt: skip
    for offered in _offered(host, "rocm"):
        yield ToolkitOption(
            kind="rocm", version=offered.version, names=(offered.version,), provider=offered.provider, offered=offered,
            rocm=rows.get(Release.parse(offered.version).minor),
        )  # fmt: skip
    if not missing_programs(host, "rocm"):
        yield from rootfs_options("rocm", platform_of(host))
    for row in rows.values():
        for place in _places("rocm", row.version, host):
            yield ToolkitOption(
                kind="rocm", version=row.version, names=(row.version,), provider="elsewhere",
                place=place, rocm=row, patched=place.patched,
            )  # fmt: skip


def _vulkan(host: Host) -> Iterator[ToolkitOption]:
    for install in sorted((one for one in host.toolkits if one.kind == "vulkan"), key=lambda one: one.path):
        version = install.version or UNKNOWN_VULKAN
        yield ToolkitOption(kind="vulkan", version=version, names=(version,), provider="system", install=install)
    if not missing_programs(host, "vulkan"):
        yield from rootfs_options("vulkan", platform_of(host))
    for place in _places("vulkan", UNKNOWN_VULKAN, host):
        yield ToolkitOption(
            kind="vulkan", version=UNKNOWN_VULKAN, names=(UNKNOWN_VULKAN,), provider="elsewhere", place=place
        )


def rootfs_options(kind: str, platform: str) -> Iterator[ToolkitOption]:
    """Yield the toolkits of a kind that can be made as root filesystems on machines of a platform."""
    cuda = {row.release.minor: row for row in tables.cuda_toolkits()} if kind == "cuda" else {}
    rocm = {Release.parse(row.version).minor: row for row in tables.rocm_releases()} if kind == "rocm" else {}
    for made in rootfs_for(kind, platform):
        minor = Release.parse(made.version).minor
        yield ToolkitOption(
            kind=made.kind, version=made.version, names=(made.version,), provider="rootfs", rootfs=made,
            cuda=cuda.get(minor), rocm=rocm.get(minor), patched=True,
        )  # fmt: skip


def _places(kind: str, version: str, host: Host) -> Iterator[tables.Place]:
    for place in tables.places():
        here = not place.os or (place.os, place.os_version) == (host.os.id, host.os.version)
        if here and place.kind == kind and place.has(version):
            yield place
