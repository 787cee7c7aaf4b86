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


class Drops(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Libraries that hold precompiled headers of clang, and the functions through which others get at them."""

    by: str
    through: tuple[str, ...]
    reason: str


class Whole(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Libraries whose licence lets them be passed on only as they are."""

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


class Spares(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Libraries that another one needs only for what nobody in a bundle asks of it; fields as in ``runtime.toml``."""

    by: str
    libraries: tuple[str, ...]
    symbols: tuple[str, ...]
    reason: str


class Unpacks(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library that loads compressed device code."""

    by: str
    reason: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    unpacks: tuple[Unpacks, ...]
    spares: tuple[Spares, ...]
    drops: tuple[Drops, ...]
    whole: tuple[Whole, ...]
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


def drops(soname: str) -> Drops | None:
    """Return the row by which precompiled headers are cut out of a library.

    Raises:
        DataError: the table is damaged.
    """
    return next((row for row in _table().drops if fnmatchcase(soname, row.by)), None)


def whole(soname: str) -> Whole | None:
    """Return the row that forbids to change a library that is passed on.

    Raises:
        DataError: the table is damaged.
    """
    return next((row for row in _table().whole if any(fnmatchcase(soname, name) for name in row.names)), None)


def opened_by(soname: str) -> tuple[Opens, ...]:
    """Return what a library opens by itself.

    Raises:
        DataError: the table is damaged.
    """
    return tuple(row for row in _table().opens if fnmatchcase(soname, row.by))


def spares(soname: str, needs: str) -> Spares | None:
    """Return the row by which a library can do without one that it needs.

    Raises:
        DataError: the table is damaged.
    """
    rows = (row for row in _table().spares if fnmatchcase(soname, row.by))
    return next((row for row in rows if any(fnmatchcase(needs, name) for name in row.libraries)), None)


def unpacks(soname: str) -> bool:
    """Tell whether device code is loaded through this library, compressed or not.

    Raises:
        DataError: the table is damaged.
    """
    return any(fnmatchcase(soname, row.by) for row in _table().unpacks)
