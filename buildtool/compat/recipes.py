"""Recipes: what is built, from which sources, with which options; data that ships with gpubuild.

A recipe is a directory with a ``recipe.toml``. It is found in the installed package, or beside it in a source
checkout.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from typing import Literal

import msgspec

from buildtool.compat.model import Backend, Profile
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.versions import suggest
from buildtool.errors import DataError, UnknownNameError


class Dated(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row that holds for source trees of a span of days: from `since`, before `before`."""

    since: dt.date | None = None
    before: dt.date | None = None

    def holds_on(self, day: dt.date | None) -> bool:
        """Whether the row holds for a tree of `day`; None is today's upstream."""
        if day is None:
            return self.before is None
        return (self.since is None or day >= self.since) and (self.before is None or day < self.before)


class RecipeSource(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source tree on offer, as a source distribution of a package registry.

    Attributes:
        name: what ``--source`` takes.
        distribution: the registry's name for it; `release`, `filename` and `sha256` fix the file.
        subdir: where the tree lies inside.
        date: the day it was published.
        version: the version the wheels carry.
        ggml: ggml's version, "" where the tree does not tell.
        label: what tells this source apart in a wheel's local version.
        build: upstream's number of the build, 0 where the package does not tell: without git, its files do not.
    """

    name: str
    distribution: str
    release: str
    filename: str
    sha256: str
    subdir: str
    date: dt.date
    version: str
    ggml: str = ""
    label: str
    build: int = 0


class OptionRow(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CMake option and when it is given."""

    name: str
    value: str
    reason: str
    backends: tuple[Backend, ...] = ()
    profiles: tuple[Profile, ...] = ()
    machines: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


class BaseRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Targets upstream builds by default, for the toolkits that `toolkits` names."""

    backend: Backend
    targets: tuple[str, ...]
    toolkits: str = ""


class RewriteRow(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Targets that the source's own build files turn into others, by a suffix."""

    from_: tuple[str, ...] = msgspec.field(name="from")
    suffix: str
    reason: str


class NeedRow(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the source needs: a toolkit (`wish`) or a compiler (`at_least`, its major)."""

    what: Literal["toolkit", "gcc", "clang", "msvc"]
    wish: str = ""
    at_least: int = 0
    profiles: tuple[Profile, ...] = ()
    machines: tuple[str, ...] = ()
    reason: str


class LibraryRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library of the toolkit that a backend is linked with, under the name the probe gives it."""

    backend: Backend
    library: str
    reason: str


class ReachRow(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far down a source goes: the oldest target it was tried for, and why nothing older.

    Attributes:
        backend: whose targets.
        oldest: the oldest target that kernels of the source were compiled for.
        toolkit: the toolkit that did it.
        below: why there is nothing below.
    """

    backend: Backend
    oldest: str
    toolkit: str
    below: str


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything gpubuild knows about building one project."""

    schema: int
    name: str
    words: str
    runtime: str
    sources: tuple[RecipeSource, ...] = msgspec.field(name="source")
    options: tuple[OptionRow, ...] = msgspec.field(name="option")
    bases: tuple[BaseRow, ...] = msgspec.field(name="base", default=())
    rewrites: tuple[RewriteRow, ...] = msgspec.field(name="rewrite", default=())
    needs: tuple[NeedRow, ...] = msgspec.field(name="need", default=())
    libraries: tuple[LibraryRow, ...] = msgspec.field(name="library", default=())
    reaches: tuple[ReachRow, ...] = msgspec.field(name="reach", default=())


def shipped_root(kind: str) -> Path:
    """Return the directory of all recipes, or of all patches: data that ships beside the package.

    Args:
        kind: ``recipes`` or ``patches``.

    Raises:
        DataError: neither the package nor a checkout holds it.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_shipped" / kind, package.parent / kind):
        if place.is_dir():
            return place
    what = f"gpubuild's {kind} are missing."
    raise DataError(what, why=f"Neither {package / '_shipped'} nor a checkout holds them.", hint="Reinstall gpubuild.")


def recipes_root() -> Path:
    """Return the directory of all recipes; see `shipped_root`."""
    return shipped_root("recipes")


def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes, sorted."""
    return tuple(sorted(path.parent.name for path in recipes_root().glob("*/recipe.toml")))


def recipe_directory(name: str) -> Path:
    """Return the directory of a recipe, with its CMake file beside ``recipe.toml``.

    Raises:
        UnknownNameError: no such recipe.
    """
    names = recipe_names()
    if name not in names:
        near = suggest(name, names)
        what = f"There is no recipe {name!r}."
        hint = f"Did you mean {near[0]!r}?" if near else f"Recipes: {', '.join(names)}."
        raise UnknownNameError(what, hint=hint)
    return recipes_root() / name


@functools.cache
def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Raises:
        UnknownNameError: no such recipe.
        DataError: its file has a field nobody knows, or a row without a source.
    """
    path = recipe_directory(name) / "recipe.toml"
    return decode_table(path.read_text("utf-8"), Recipe, f"{name}/recipe.toml")
