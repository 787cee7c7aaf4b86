"""What no binary says about itself: rows of ``data/runtime.toml``."""

from __future__ import annotations

import functools
from fnmatch import fnmatchcase
from importlib import resources

import msgspec

from buildtool.compat.tables import Row, decode_table


class Outside(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Libraries that belong to the machine, and why."""

    names: tuple[str, ...]
    reason: str


class Opens(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something a library opens by itself; the fields are described at the head of ``runtime.toml``."""

    by: str
    libraries: tuple[str, ...] = ()
    folder: str = ""
    chosen: str = ""
    travels: bool = True
    reason: str


class Unpacks(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library that loads compressed device code."""

    by: str
    reason: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    unpacks: tuple[Unpacks, ...]
    outside: tuple[Outside, ...]
    opens: tuple[Opens, ...]


@functools.cache
def _table() -> _Table:
    text = resources.files("buildtool.runtime").joinpath("data", "runtime.toml").read_text("utf-8")
    return decode_table(text, _Table, "runtime.toml")


def outside(soname: str) -> Outside | None:
    """Return the row that leaves a library to the machine.

    Raises:
        DataError: the table is damaged.
    """
    return next((row for row in _table().outside if any(fnmatchcase(soname, name) for name in row.names)), None)


def opened_by(soname: str) -> tuple[Opens, ...]:
    """Return what a library opens by itself.

    Raises:
        DataError: the table is damaged.
    """
    return tuple(row for row in _table().opens if fnmatchcase(soname, row.by))


def unpacks(soname: str) -> bool:
    """Tell whether device code is loaded through this library, compressed or not.

    Raises:
        DataError: the table is damaged.
    """
    return any(fnmatchcase(soname, row.by) for row in _table().unpacks)
