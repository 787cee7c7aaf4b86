"""Root filesystems that can be made for a build: rows of ``data/rootfs.toml``, and whether a machine can make them."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.tables import Row, decode_table
from buildtool.probe.model import Host, HostCompiler

ARCHITECTURES = {"linux-x86_64": "amd64", "linux-aarch64": "arm64"}  # Debian's names
MAKER, ENTRANCE = "mmdebstrap", "bwrap"  # what makes one, and what enters it


class RootfsRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolkit as a root filesystem; the fields are described at the head of ``rootfs.toml``."""

    name: str
    kind: Literal["cuda", "rocm", "vulkan"]
    version: str
    rank: int
    platform: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    prefer: tuple[str, ...] = ()
    packages: tuple[str, ...]
    leave_out: tuple[str, ...] = ()
    gcc: int = 0
    glibc: str = ""
    llvm: str = ""
    kernels: tuple[str, ...] = ()
    download: int
    unpacked: int

    @property
    def compiler(self) -> HostCompiler | None:
        """The host compiler inside, at its path there; None when the machine's own compiler uses the toolkit."""
        if not self.gcc:
            return None
        return HostCompiler(
            family="gcc", version=str(self.gcc), cxx=f"/usr/bin/g++-{self.gcc}", cc=f"/usr/bin/gcc-{self.gcc}"
        )


class _Base(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    packages: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    base: tuple[_Base, ...]
    rootfs: tuple[RootfsRow, ...]


@functools.cache
def rootfs_rows() -> tuple[RootfsRow, ...]:
    """Return every row, in the order of the table; `packages` includes what all of them need.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.compat").joinpath("data", "rootfs.toml").read_text("utf-8")
    table = decode_table(text, _Table, "rootfs.toml")
    common = [name for row in table.base for name in row.packages]
    return tuple(msgspec.structs.replace(row, packages=(*common, *row.packages)) for row in table.rootfs)


def rootfs_row(name: str) -> RootfsRow | None:
    """Return the row of this name."""
    return next((row for row in rootfs_rows() if row.name == name), None)


def rootfs_for(kind: str, platform: str) -> tuple[RootfsRow, ...]:
    """Return the rows with a toolkit of `kind` for machines of `platform` (``linux-x86_64``)."""
    return tuple(row for row in rootfs_rows() if row.kind == kind and row.platform == platform)


def missing_programs(host: Host, kind: str) -> tuple[str, ...]:
    """Return which programs a machine lacks to make a root filesystem with a toolkit of `kind`, and to enter it."""
    present = {tool.name for tool in host.tools}
    entered = any(row.gcc for row in rootfs_rows() if row.kind == kind)
    return tuple(name for name in (MAKER, *([ENTRANCE] if entered else [])) if name not in present)
