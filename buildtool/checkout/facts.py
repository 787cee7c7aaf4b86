"""The table of how checkouts of Ollama build themselves (``data/ollama_builds.toml``)."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.model import Backend
from buildtool.compat.tables import Row, decode_table

LayoutName = Literal["new", "old"]


class LayoutRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout, and its file of presets."""

    name: LayoutName
    presets: str


class PartRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a layout's build; the fields are described in the table."""

    layout: LayoutName
    backend: Backend
    exact: str
    whole: str
    variable: str = ""
    component: str


class CompilerRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The oldest compiler of a family that a layout's documents name."""

    layout: LayoutName
    family: Literal["gcc", "clang", "msvc"]
    at_least: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table."""

    schema: int
    layouts: tuple[LayoutRow, ...] = msgspec.field(name="layout")
    parts: tuple[PartRow, ...] = msgspec.field(name="part")
    compilers: tuple[CompilerRow, ...] = msgspec.field(name="compiler")

    def presets(self, layout: str) -> str:
        """Return the file of presets of a layout."""
        return next(row.presets for row in self.layouts if row.name == layout)

    def part(self, layout: str, backend: Backend) -> PartRow:
        """Return a part of a layout."""
        return next(row for row in self.parts if (row.layout, row.backend) == (layout, backend))


@functools.cache
def facts() -> Facts:
    """Return the table.

    Raises:
        DataError: it is damaged, or a row has no source.
    """
    text = resources.files("buildtool.checkout").joinpath("data", "ollama_builds.toml").read_text("utf-8")
    return decode_table(text, Facts, "ollama_builds.toml")
