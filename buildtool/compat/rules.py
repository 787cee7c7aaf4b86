"""The rules: what a candidate must satisfy, each as a small function over rows of the tables."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import msgspec

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.conflict import Fact
from buildtool.compat.kernels import has_kernels, travels
from buildtool.compat.known_bad import breaking, refusing
from buildtool.compat.model import Backend
from buildtool.compat.options import ToolkitOption
from buildtool.compat.recipes import NeedRow
from buildtool.compat.sources import SourceChoice
from buildtool.compat.targets import Target, parse_targets
from buildtool.compat.versions import Release, ToolkitWish, parse_wish
from buildtool.probe.model import Driver, HostCompiler, ToolkitInstall

MINOR_COMPATIBILITY_SINCE = 11  # NVIDIA CUDA compatibility guide: minor-version compatibility starts with CUDA 11

BACKEND = Fact("wish", "backend")
TOOLKIT = Fact("wish", "toolkit")
NEED = Fact("law", "need")
HERE = Fact("machine", "toolkit")
INCOMPLETE = Fact("machine", "incomplete")
KNOWN = Fact("machine", "known")
COMPILER = Fact("machine", "compiler")
LIBC = Fact("platform", "libc")
KERNELS = Fact("law", "kernels")
KNOWN_BAD = Fact("law", "known-bad")
DRIVER = Fact("machine", "driver")
INSTALLABLE = frozenset({HERE, COMPILER})  # what is missing can be installed


@functools.cache
def target_fact(target: Target) -> Fact:
    """Return the fact "this target is wanted"."""
    return Fact("wish", f"target {target}")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to meet the wish, and which facts speak against it."""

    source: SourceChoice
    backend: Backend
    option: ToolkitOption | None
    compiler: HostCompiler | None
    broken: frozenset[Fact]


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every candidate of one source, worked out once.

    Attributes:
        source: the source.
        needs: the source's wishes about a toolkit, by kind.
        compilers: host compilers that the source accepts, best first.
        targets: the targets that must be served, each with its fact.
    """

    source: SourceChoice
    needs: dict[str, tuple[ToolkitWish, ...]]
    compilers: tuple[HostCompiler, ...]
    targets: tuple[tuple[Target, Fact], ...]


def ground_of(case: Case, source: SourceChoice) -> Ground:
    """Work out what holds for every candidate of a source."""
    return Ground(
        source=source,
        needs={
            kind: tuple(parse_wish(row.wish) for row in toolkit_needs(case, source, kind))
            for kind in ("cuda", "rocm", "vulkan")
        },
        compilers=accepted_compilers(case, source),
        targets=tuple((target, target_fact(target)) for target in case.targets),
    )


def judge(case: Case, ground: Ground, backend: Backend, option: ToolkitOption | None) -> Candidate:
    """Find every fact that rules this combination out, and the host compiler it would use."""
    inside = option.rootfs.compiler if option is not None and option.rootfs is not None else None
    compiler = inside or next((one for one in ground.compilers if goes_with(option, one)), None)
    broken = set(_broken(case, ground, backend, option))
    if compiler is None:
        broken.add(COMPILER)
    return Candidate(source=ground.source, backend=backend, option=option, compiler=compiler, broken=frozenset(broken))


def _broken(case: Case, ground: Ground, backend: Backend, option: ToolkitOption | None) -> Iterator[Fact]:
    if backend != case.backend:
        yield BACKEND
    for target, fact in ground.targets:
        if not (serves(option, target) and runs_on(target, case.platform)):
            yield fact
    wish = case.toolkit
    if wish is not None and (option is None or option.kind != wish.kind or not wish.admits(*option.names)):
        yield TOOLKIT
    if option is not None:
        yield from _broken_toolkit(case, ground, option)


def _broken_toolkit(case: Case, ground: Ground, option: ToolkitOption) -> Iterator[Fact]:
    if not all(need.admits(*option.names) for need in ground.needs[option.kind]):
        yield NEED
    if option.provider == "elsewhere":
        yield HERE
    if option.install is not None and lacking(case, option.install):
        yield INCOMPLETE
    if refusing(option, case.target_names, case.host):
        yield KNOWN_BAD
    if option.kind == "cuda":
        yield from _broken_cuda(case, option)
    elif option.kind == "rocm" and not all(has_kernels(case, option, target) for target in case.targets):
        yield KERNELS


def _broken_cuda(case: Case, option: ToolkitOption) -> Iterator[Fact]:
    if option.cuda is None:
        yield KNOWN
        return
    if not libc_fits(case, option):
        yield LIBC
    if not driver_fits(case, option.release):
        yield DRIVER


def lacking(case: Case, install: ToolkitInstall) -> tuple[str, ...]:
    """Name the libraries that the recipe needs from an installed toolkit and that are not there."""
    return tuple(
        row.library for row in case.recipe.libraries if row.backend == install.kind and row.library in install.lacks
    )


def serves(option: ToolkitOption | None, target: Target) -> bool:
    """Whether this toolkit compiles device code for a target (none does for Vulkan and the CPU)."""
    if option is None or option.kind != target.platform:
        return False
    if option.kind == "cuda":
        return option.cuda is not None and str(target) in option.cuda.targets
    row = tables.amd_targets().get(target.chip)
    oldest = row.llvm_min if row is not None else _generic_llvm(target.chip)
    llvm = option.rocm.llvm if option.rocm is not None else ""
    llvm = option.rootfs.llvm if option.rootfs is not None else llvm
    return not (oldest and llvm) or int(llvm) >= int(oldest)


def runs_on(target: Target, platform: str) -> bool:
    """Whether some machine of a platform (``linux-x86_64``) can hold this device and drive it.

    A Jetson's GPU is part of an aarch64 chip; AMD's data-centre cards have drivers for Linux only.
    """
    system, _, machine = platform.partition("-")
    row = (tables.nvidia_targets() if target.platform == "cuda" else tables.amd_targets()).get(target.chip)
    machines = row.machines if isinstance(row, tables.NvidiaTarget) else ()
    return row is None or ((not machines or machine in machines) and (not row.systems or system in row.systems))


def _generic_llvm(chip: str) -> str:
    # LLVM AMDGPU usage guide, "Generic processors": code object v6, LLVM 19; gfx9-4-generic came with LLVM 20.
    return "20" if chip == "gfx9-4-generic" else "19"


def base_targets(case: Case, option: ToolkitOption | None) -> tuple[Target, ...]:
    """Return the recipe's own targets that this toolkit knows, when they were asked for."""
    if not case.base or option is None:
        return ()
    names = [
        name
        for row in case.recipe.bases
        if row.backend == case.backend and (not row.toolkits or parse_wish(row.toolkits).admits(*option.names))
        for name in row.targets
    ]
    found = [target for target in parse_targets(names) if serves(option, target)]
    if travels(case, option) and option.rootfs is not None:  # one bundle holds each kernel under one name
        found = [target for target in found if target.chip in option.rootfs.kernels]
    return tuple(found)


def toolkit_needs(case: Case, source: SourceChoice, kind: str) -> list[NeedRow]:
    """Return the recipe's requirements on a toolkit of this kind."""
    return [
        row
        for row in case.recipe.needs
        if row.what == "toolkit" and row.holds_on(source.date) and parse_wish(row.wish).kind == kind
    ]


def compiler_needs(case: Case, source: SourceChoice, family: str) -> list[NeedRow]:
    """Return the recipe's requirements on a host compiler of this family."""
    machine = case.platform.partition("-")[2]
    return [
        row
        for row in case.recipe.needs
        if row.what == family
        and row.holds_on(source.date)
        and (not row.profiles or case.request.profile in row.profiles)
        and (not row.machines or machine in row.machines)
    ]


def accepted_compilers(case: Case, source: SourceChoice) -> tuple[HostCompiler, ...]:
    """Return the host compilers that a source accepts, best first: the newest GCC, then clang; MSVC on Windows."""
    families = ("msvc", "clang", "gcc") if case.host.os.system == "windows" else ("gcc", "clang", "msvc")
    oldest = {
        family: max((row.at_least for row in compiler_needs(case, source, family)), default=0) for family in families
    }
    accepted = [one for one in case.compilers if Release.parse(one.version).major >= oldest[one.family]]
    return tuple(
        sorted(
            accepted,
            key=lambda one: (families.index(one.family), [-n for n in Release.parse(one.version).numbers], one.cxx),
        )
    )


def goes_with(option: ToolkitOption | None, compiler: HostCompiler) -> bool:
    """Whether a toolkit's compiler works with a host compiler; only nvcc asks for certain ones."""
    if option is None or option.cuda is None:
        return True
    return nvcc_accepts(option.cuda, compiler) and breaking(option, compiler) is None


def nvcc_accepts(row: tables.CudaToolkit, compiler: HostCompiler) -> bool:
    """Whether the toolkit's ``host_config.h`` accepts a compiler; an unknown MSVC limit refuses nothing."""
    release = Release.parse(compiler.version)
    if compiler.family == "msvc":
        number = release.major * 100 + release.minor[1]
        return row.msc is None or row.msc[0] <= number < row.msc[1]
    oldest, newest = row.gcc if compiler.family == "gcc" else row.clang
    return oldest <= release.major <= newest


def libc_fits(case: Case, option: ToolkitOption) -> bool:
    """Whether the toolkit's headers compile with this machine's C library."""
    libc = case.host.libc
    if libc is None or case.host.os.system != "linux" or option.rootfs is not None:
        return True
    if libc.name == "musl":
        return False
    newest = Release.read(option.cuda.glibc_max) if option.cuda is not None else None
    here = Release.read(libc.version)
    return option.patched or newest is None or here is None or here <= newest


def oldest_driver(toolkit: Release, system: str) -> str:
    """Return the oldest NVIDIA driver that runs device code (not PTX) of a toolkit; "" when none is known.

    One driver serves a whole CUDA major from 11 on; before, each release needs its own.
    """
    rule: tables.NvidiaDrivers | None = tables.cuda_drivers().get(toolkit.major)
    if rule is None:
        row = next((row for row in tables.cuda_toolkits() if row.release.minor == toolkit.minor), None)
        rule = row.driver if row is not None else None
    if rule is None:
        return ""
    return rule.windows if system == "windows" else rule.linux


def driver_fits(case: Case, toolkit: Release) -> bool:
    """Whether this machine's driver runs device code of a toolkit; True when the result is for other machines."""
    return case.driver is None or driver_runs(case.driver, toolkit, case.host.os.system)


def driver_runs(driver: Driver, toolkit: Release, system: str) -> bool:
    """Whether a driver runs device code of a toolkit: by the CUDA version it offers, else by its own."""
    offered = Release.read(driver.cuda)
    if offered is not None:
        if toolkit.major >= MINOR_COMPATIBILITY_SINCE:
            return offered.major >= toolkit.major
        return offered.minor >= toolkit.minor
    oldest, here = Release.read(oldest_driver(toolkit, system)), Release.read(driver.version)
    return oldest is None or here is None or here >= oldest
