"""Where jobs run: rows of ``data/platforms.toml``, each also as the machine that a plan is made for."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.options import platform_of
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.versions import suggest
from buildtool.errors import UnknownNameError
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem, Tool, ToolkitInstall

HERE = "here"


class Platform(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where jobs run; the fields are described at the head of ``platforms.toml``."""

    name: str
    os: str
    rank: int
    system: Literal["linux", "windows", "macos"]
    machine: str
    id: str
    version: str
    glibc: str
    compilers: tuple[HostCompiler, ...]
    toolkits: tuple[ToolkitInstall, ...] = ()
    tools: tuple[str, ...] = ()
    setup: tuple[str, ...]
    image: str
    github: str
    gitlab: str
    proved: bool


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A platform together with the machine it is; for ``here`` the machine in front of us."""

    platform: Platform
    host: Host


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    platform: tuple[Platform, ...]


@functools.cache
def platforms() -> tuple[Platform, ...]:
    """Return every platform, in the order of the table.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.matrix").joinpath("data", "platforms.toml").read_text("utf-8")
    return decode_table(text, _Table, "platforms.toml").platform


def sites(systems: Iterable[str]) -> tuple[Site, ...]:
    """Return the sites that make wheels for some systems, or that are named themselves.

    Raises:
        UnknownNameError: no platform is called so or makes wheels for it.
    """
    found: dict[str, Platform] = {}
    for word in systems:
        rows = [row for row in platforms() if word in {row.os, row.name}]
        if not rows:
            known = sorted({row.os for row in platforms()} | {row.name for row in platforms()})
            near = suggest(word, known)
            what = f"There is no system {word!r}."
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            raise UnknownNameError(what, hint=hint)
        found |= {row.name: row for row in rows}
    return tuple(Site(platform=row, host=_host(row)) for row in found.values())


def here(host: Host) -> Site:
    """Return this machine as a site; its own devices do not count, the wheels are for the cards that were named."""
    libc = host.libc.version if host.libc is not None and host.libc.name == "glibc" else ""
    row = Platform(
        name=HERE,
        os=platform_of(host),
        rank=0,
        system=host.os.system,
        machine=host.os.machine,
        id=host.os.id,
        version=host.os.version,
        glibc=libc or "",
        compilers=host.host_compilers,
        toolkits=host.toolkits,
        tools=tuple(tool.name for tool in host.tools),
        setup=(),
        image="",
        github="",
        gitlab="",
        proved=True,
        source=("this machine, as detected",),
    )
    return Site(platform=row, host=msgspec.structs.replace(host, devices=(), drivers=()))


def _host(row: Platform) -> Host:
    return Host(
        os=OperatingSystem(
            system=row.system, machine=row.machine, id=row.id, version=row.version, name=row.name, kernel=""
        ),
        libc=Libc(name="glibc", version=row.glibc) if row.glibc else None,
        host_compilers=row.compilers,
        toolkits=row.toolkits,
        tools=tuple(Tool(name=name, version=None, path=f"/usr/bin/{name}") for name in row.tools),
    )
