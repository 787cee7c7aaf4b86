"""Code of others inside the source tree that is compiled into the programs: names, versions and licences."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from buildtool.compat.recipes import recipe_directory
from buildtool.compat.tables import Row, decode_table

TABLE = "embedded.toml"


class Embedded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One such piece of code.

    Attributes:
        name: as its authors call it.
        version: as its file states it, "" where it does not.
        licence: SPDX expression.
        file: where it lies in the tree.
        texts: its licence files in the tree; empty when `file` itself states the licence.
    """

    name: str
    version: str
    licence: str
    file: str
    texts: tuple[str, ...] = ()


class _EmbeddedRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    file: tuple[str, ...]
    version: str = ""
    licence: str
    texts: tuple[str, ...] = ()


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    embedded: tuple[_EmbeddedRow, ...]


def embedded_code(recipe: str, tree: Path) -> tuple[Embedded, ...]:
    """Return what the recipe knows of and the tree holds, by name.

    Raises:
        DataError: the recipe's table is damaged.
    """
    table = recipe_directory(recipe) / TABLE
    if not table.is_file():
        return ()
    rows = decode_table(table.read_text("utf-8"), _Table, TABLE).embedded
    found = [_found(row, tree) for row in sorted(rows, key=lambda row: row.name)]
    return tuple(one for one in found if one is not None)


def _found(row: _EmbeddedRow, tree: Path) -> Embedded | None:
    file = next((name for name in row.file if (tree / name).is_file()), None)
    if file is None:
        return None
    stated = re.search(row.version, (tree / file).read_text("utf-8", errors="replace")) if row.version else None
    return Embedded(
        name=row.name,
        version=".".join(stated.groups()) if stated else "",
        licence=row.licence,
        file=file,
        texts=tuple(name for name in row.texts if (tree / name).is_file()),
    )
