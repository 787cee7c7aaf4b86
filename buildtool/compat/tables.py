"""The tables of compatibility facts: typed rows of ``data/*.toml``, read when first needed.

Every row says where it comes from; a row with a field nobody knows, or without a source, is refused. The
tables are part of the package and do not change while a program runs, so each is read once.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Annotated, Literal, TypeVar

import msgspec

from buildtool.compat.versions import Release
from buildtool.errors import DataError

Sources = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1)]
Version = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)*$")]
VersionOrNone = Annotated[str, msgspec.Meta(pattern=r"^(\d+(\.\d+)*)?$")]
RowT = TypeVar("RowT", bound="Row")
TableT = TypeVar("TableT", bound=msgspec.Struct)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any row of a table: facts and where they come from."""

    source: Sources


class NvidiaDrivers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A driver version for each operating system."""

    linux: Version
    windows: Version


class CudaToolkit(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A minor release of the CUDA toolkit; the fields are described at the head of ``cuda_toolkits.toml``."""

    version: Version
    targets: tuple[str, ...]
    ptx: Version
    gcc: tuple[int, int]
    clang: tuple[int, int]
    msc: tuple[int, int] | None = None
    glibc_max: VersionOrNone = ""
    cxx: int
    cmake_min: Version
    driver: NvidiaDrivers | None = None
    drivers: dict[Version, Version] = {}
    verified: bool

    @property
    def release(self) -> Release:
        """The version as numbers."""
        return Release.parse(self.version)


class CudaMajorDriver(NvidiaDrivers, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Oldest driver that runs device code (not PTX) of any minor release of one CUDA major."""

    major: int
    source: Sources


class NvidiaTarget(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An NVIDIA target with products people know it by."""

    name: str
    compute_capability: str
    products: str
    machines: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


class AmdTarget(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An AMD target; the fields are described at the head of ``amd_targets.toml``."""

    name: str
    family: str
    isa: str
    gfx_target_version: int
    generic: str = ""
    chip: str = ""
    products: str = ""
    apu: bool
    linux_official: str
    windows: str
    hsa_override: VersionOrNone = ""
    retarget_from: str = ""
    systems: tuple[str, ...] = ()
    llvm_min: str = ""


class RocmRelease(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ROCm release; the fields are described at the head of ``rocm_releases.toml``."""

    version: Version
    llvm: VersionOrNone = ""
    rocblas: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    windows_runtime: tuple[str, ...] = ()
    official: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    kernel: str = ""
    cmake_min: VersionOrNone = ""


class Place(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a toolkit can be had when it is not here; the fields are described in ``toolkit_places.toml``."""

    kind: Literal["cuda", "rocm", "vulkan"]
    version: Annotated[tuple[Version, ...], msgspec.Meta(min_length=1)]
    os: str = ""
    os_version: str = ""
    where: str
    command: str = ""
    kernels: tuple[str, ...] = ()
    patched: bool = False

    def has(self, version: str) -> bool:
        """Whether this place has a release."""
        oldest, newest = (Release.parse(end) for end in (self.version[0], self.version[-1]))
        return oldest <= Release.parse(version) <= newest


class PackageNames(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What installs the tools a build needs, on one family of distributions.

    `vulkan_since` names the first release of a distribution whose Vulkan packages are new enough for today's sources.
    """

    os: tuple[str, ...]
    cxx: str
    vulkan: str
    vulkan_since: dict[str, Version] = {}


class CompilerPackages(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The majors of GCC that one release of a distribution carries, and what installs one of them."""

    os: str
    os_version: str
    gcc: tuple[int, ...]
    command: str


class KnownBad(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A combination that is known to fail; the fields are described at the head of ``known_bad.toml``."""

    id: str
    what: str
    effect: Literal["refuse", "table", "avoid", "warn", "doctor"]
    toolkit: str = ""
    targets: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    glibc: str = ""
    kernel: str = ""
    clang: str = ""
    libstdcxx: str = ""
    unpatched: bool = False
    launcher: str = ""
    option: str = ""
    variable: str = ""
    error: str
    cure: str


class _CudaToolkits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    toolkit: tuple[CudaToolkit, ...]


class _CudaDrivers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    major: tuple[CudaMajorDriver, ...]


class _NvidiaTargets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    target: tuple[NvidiaTarget, ...]


class _AmdTargets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    target: tuple[AmdTarget, ...]


class _RocmReleases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    release: tuple[RocmRelease, ...]


class _Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    place: tuple[Place, ...]


class _Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    packages: tuple[PackageNames, ...]
    compilers: tuple[CompilerPackages, ...]


class _KnownBads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    bad: tuple[KnownBad, ...]


def decode_table(text: str, kind: type[TableT], name: str) -> TableT:
    """Read a table of type `kind`.

    Raises:
        DataError: not TOML, a field nobody knows, a missing field or a missing source.
    """
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        what = f"The table {name} is damaged."
        raise DataError(what, why=str(error), hint="Reinstall gpubuild.") from error


def _load(name: str, kind: type[TableT]) -> TableT:
    return decode_table(resources.files("buildtool.compat").joinpath("data", name).read_text("utf-8"), kind, name)


@functools.cache
def cuda_toolkits() -> tuple[CudaToolkit, ...]:
    """Return every CUDA minor release, oldest first."""
    rows = _load("cuda_toolkits.toml", _CudaToolkits).toolkit
    return tuple(sorted(rows, key=lambda row: row.release))


@functools.cache
def cuda_drivers() -> dict[int, CudaMajorDriver]:
    """Return the driver rule of each CUDA major that has minor-version compatibility."""
    return {row.major: row for row in _load("cuda_drivers.toml", _CudaDrivers).major}


@functools.cache
def nvidia_targets() -> dict[str, NvidiaTarget]:
    """Return NVIDIA's base targets by name."""
    return {row.name: row for row in _load("nvidia_targets.toml", _NvidiaTargets).target}


@functools.cache
def amd_targets() -> dict[str, AmdTarget]:
    """Return AMD's targets by name, in the order of the table."""
    return {row.name: row for row in _load("amd_targets.toml", _AmdTargets).target}


@functools.cache
def rocm_releases() -> tuple[RocmRelease, ...]:
    """Return the ROCm releases, oldest first."""
    rows = _load("rocm_releases.toml", _RocmReleases).release
    return tuple(sorted(rows, key=lambda row: Release.parse(row.version)))


@functools.cache
def places() -> tuple[Place, ...]:
    """Return where toolkits can be had, in the order of the table."""
    return _load("toolkit_places.toml", _Places).place


@functools.cache
def package_names() -> tuple[PackageNames, ...]:
    """Return what installs build tools on each family of distributions."""
    return _load("packages.toml", _Packages).packages


@functools.cache
def compiler_packages() -> tuple[CompilerPackages, ...]:
    """Return which compilers the releases of distributions carry."""
    return _load("packages.toml", _Packages).compilers


@functools.cache
def known_bad() -> tuple[KnownBad, ...]:
    """Return the combinations that are known to fail, in the order of the table."""
    return _load("known_bad.toml", _KnownBads).bad
