"""Combinations that are known to fail (rows of ``known_bad.toml``): which of them hold here."""

from __future__ import annotations

from collections.abc import Iterable

from buildtool.compat import tables
from buildtool.compat.model import Decision
from buildtool.compat.options import ToolkitOption
from buildtool.compat.tables import KnownBad
from buildtool.compat.versions import Release, parse_wish
from buildtool.probe.model import Host, HostCompiler


def find_bad(name: str) -> KnownBad:
    """Return the row with this id; gpubuild's own code names only rows that are there."""
    return next(row for row in tables.known_bad() if row.id == name)


def refusing(option: ToolkitOption, targets: Iterable[str], host: Host) -> tuple[KnownBad, ...]:
    """Return the rows by which the engine must not build these targets with this toolkit here."""
    named = frozenset(targets)
    return tuple(row for row in tables.known_bad() if row.effect == "refuse" and holds(row, option, named, host))


def holds(row: KnownBad, option: ToolkitOption | None, targets: frozenset[str], host: Host) -> bool:
    """Whether a build of these targets with this toolkit on this machine is what a row warns of.

    Launchers, options and variables are not looked at: whether they are in use is the caller's to know.
    """
    if row.targets and not targets & frozenset(row.targets):
        return False
    if row.systems and host.os.system not in row.systems:
        return False
    if row.toolkit and not _is_toolkit(row, option):
        return False
    if row.unpatched and option is not None and option.patched:
        return False
    libc = host.libc
    if row.glibc and (libc is None or libc.name != "glibc" or not within(row.glibc, libc.version)):
        return False
    return not row.kernel or within(row.kernel, host.os.kernel)


def _is_toolkit(row: KnownBad, option: ToolkitOption | None) -> bool:
    wish = parse_wish(row.toolkit)
    return option is not None and option.kind == wish.kind and wish.admits(*option.names)


def within(specifier: str, version: str | None) -> bool:
    """Whether a version as a machine reports it meets a specifier; what is no version meets none."""
    found = Release.read(version)
    return found is not None and parse_wish(f"cuda{specifier}").admits(str(found))


def breaking(option: ToolkitOption, compiler: HostCompiler) -> KnownBad | None:
    """Return the row by which nvcc fails with a host compiler that its headers accept, if there is one."""
    if compiler.libstdcxx is None:
        return None
    rows = (row for row in tables.known_bad() if row.libstdcxx and _is_toolkit(row, option))
    fits = (row for row in rows if within(row.clang, compiler.version) and within(row.libstdcxx, compiler.libstdcxx))
    return next(fits, None)


def bad_launchers(option: ToolkitOption | None, host: Host) -> frozenset[str]:
    """Return the compiler caches that are known to break this toolkit."""
    return frozenset(
        row.launcher for row in tables.known_bad() if row.launcher and holds(row, option, frozenset(), host)
    )


def bad_options(option: ToolkitOption | None, targets: Iterable[str], host: Host) -> frozenset[str]:
    """Return the CMake options that must stay OFF for these targets."""
    named = frozenset(targets)
    return frozenset(row.option for row in tables.known_bad() if row.option and holds(row, option, named, host))


def warnings(option: ToolkitOption | None, targets: Iterable[str], host: Host) -> tuple[Decision, ...]:
    """Return what the reader of a plan has to beware of, each with what people see and what cures it."""
    named = frozenset(targets)
    return tuple(
        Decision(
            subject="beware", choice=row.what, rule=f"known-bad {row.id}",
            reason=f"seen as: {row.error}; cure: {row.cure}", sources=row.source,
        )
        for row in tables.known_bad()
        if row.effect == "warn" and holds(row, option, named, host)
    )  # fmt: skip
