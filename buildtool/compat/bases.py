"""Old systems to compile in, so that a wheel runs on old systems: rows of ``data/base_systems.toml``.

A plan for one is the plan that a machine would get which has nothing but this C library and this compiler.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.model import Decision, Plan, PlanRootfs, PlanToolkit
from buildtool.compat.options import platform_of
from buildtool.compat.rootfs import ARCHITECTURES
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.versions import Release
from buildtool.errors import IncompatibleError, InvalidInputError
from buildtool.probe.model import Host, HostCompiler, Libc

BACKENDS = ("cpu", "cuda")  # what can be built there: a toolkit of wheels, or none
RULE = "base-system"
CACHE = "compiler cache"
_WISH = re.compile(r"(?:manylinux_)?(\d+)[_.](\d+)")


class BaseSystem(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system to compile in; the fields are described at the head of ``base_systems.toml``."""

    name: str
    glibc: str
    platform: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    packages: tuple[str, ...]
    leave_out: tuple[str, ...] = ()
    family: Literal["gcc", "clang"]
    major: int
    libstdcxx: int

    @property
    def compiler(self) -> HostCompiler:
        """The compiler inside, at its path there."""
        cxx, cc = ("g++", "gcc") if self.family == "gcc" else ("clang++", "clang")
        return HostCompiler(
            family=self.family,
            version=str(self.major),
            cxx=f"/usr/bin/{cxx}-{self.major}",
            cc=f"/usr/bin/{cc}-{self.major}",
        )


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    system: tuple[BaseSystem, ...]


@functools.cache
def base_systems() -> tuple[BaseSystem, ...]:
    """Return every row, the oldest C library first.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.compat").joinpath("data", "base_systems.toml").read_text("utf-8")
    rows = decode_table(text, _Table, "base_systems.toml").system
    return tuple(sorted(rows, key=lambda row: Release.parse(row.glibc).numbers))


def base_system(wish: str, platform: str) -> BaseSystem:
    """Return the system to compile in for wheels that run with the C library of `wish`: ``2_31``.

    The newest one that is not newer than the wish is taken.

    Raises:
        InvalidInputError: `wish` is no version of a C library.
        IncompatibleError: every system at hand is newer.
    """
    found = _WISH.fullmatch(wish.strip().lower())
    if found is None:
        what = f"--manylinux {wish!r} names no version of the C library."
        raise InvalidInputError(what, hint="Write it as in a wheel's tag: 2_31, or manylinux_2_31.")
    wanted = (int(found[1]), int(found[2]))
    rows = [row for row in base_systems() if row.platform == platform]
    fitting = [row for row in rows if Release.parse(row.glibc).numbers[:2] <= wanted]
    if fitting:
        return fitting[-1]
    what = f"There is no system to compile in for manylinux_{wanted[0]}_{wanted[1]} on {platform}."
    names = [f"{row.name}: glibc {row.glibc}" for row in rows]
    hint = f"Take --manylinux {rows[0].glibc.replace('.', '_')}." if rows else "Leave --manylinux out."
    raise IncompatibleError(what, why="Those at hand are newer." if rows else "", hint=hint, details=tuple(names))


def on_base(host: Host, row: BaseSystem) -> Host:
    """Return the machine as a build inside `row` sees it: its compiler and C library, no installed toolkit."""
    return msgspec.structs.replace(
        host,
        host_compilers=(row.compiler,),
        libc=Libc(name="glibc", version=row.glibc),
        toolkits=(),
        tools=(),
        offered=(),
    )


def row_for(wish: str, backend: str, host: Host) -> BaseSystem:
    """Return the system for a wish on a machine that can make and enter it.

    Raises:
        GpubuildError: as `base_system`.
        InvalidInputError: the build is to happen in a container image already.
        IncompatibleError: the machine lacks the programs for it, or the backend cannot be built there yet.
    """
    if backend not in {"auto", *BACKENDS}:
        what = f"The {backend} backend cannot be built in an old system yet."
        raise IncompatibleError(what, hint="Leave --manylinux out; of the GPU backends only CUDA takes it.")
    if host.image is not None:
        what = "--in and --manylinux both name the place to compile in."
        raise InvalidInputError(what, hint="Leave one of them out.")
    row = base_system(wish, platform_of(host))
    present = {tool.name for tool in host.tools}
    missing = [name for name in ("mmdebstrap", "bwrap") if name not in present]
    if missing:
        what = f"--manylinux needs {' and '.join(missing)}, which this machine lacks."
        raise IncompatibleError(what, hint="Install them: apt-get install mmdebstrap bubblewrap")
    return row


def with_base(plan: Plan, row: BaseSystem, wish: str) -> Plan:
    """Return the plan, to be built inside `row`."""
    rootfs = PlanRootfs(
        name=row.name,
        architecture=ARCHITECTURES[row.platform],
        suites=row.suites,
        components=row.components,
        packages=row.packages,
        leave_out=row.leave_out,
    )
    base = PlanToolkit(kind="host", version=row.glibc, provider="rootfs", rootfs=rootfs)
    reason = f"--manylinux {wish} was asked for; what is compiled with glibc {row.glibc} runs with every newer one"
    decision = Decision(subject="system", choice=row.name, rule=RULE, reason=reason, sources=row.source)
    kept = tuple(_with_ccache(one) if one.subject == CACHE else one for one in plan.decisions)
    return msgspec.structs.replace(plan, base=base, launchers=("ccache",), decisions=(*kept, decision))


def _with_ccache(decision: Decision) -> Decision:
    reason = "it is in the system; sccache's server would have to run inside as well"
    return msgspec.structs.replace(decision, choice="ccache", reason=reason)
