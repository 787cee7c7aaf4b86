"""Which source patches there are: the ``series.toml`` of each project in ``patches/``.

A series names its patches in the order they are applied, each with what it is for, which targets and source versions it
may apply to, and the sha256 of its body. The bodies are read by `buildtool.patch`; the engine needs only the rows.
"""

from __future__ import annotations

import functools
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from buildtool.compat.model import Backend
from buildtool.compat.recipes import Dated, shipped_root
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.targets import Target
from buildtool.compat.versions import suggest
from buildtool.errors import DataError, InvalidInputError, UnknownNameError

SERIES = "series.toml"


class KnownTree(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source version that patches are checked against, beside those that the recipe offers.

    Attributes:
        name: what ``--source`` of ``gpubuild patch`` takes.
        distribution: the package registry's name for it; `release`, `filename` and `sha256` fix the file.
        subdir: where the tree lies inside.
        label: a short name for the matrix.
    """

    name: str
    distribution: str
    release: str
    filename: str
    sha256: str
    subdir: str
    label: str


class PatchRow(Dated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patch: what it is for, and where it may apply.

    Attributes:
        name: its name, unique in the series.
        file: its body, beside ``series.toml``.
        sha256: of the body (hex).
        purpose: what it changes, in one sentence.
        targets: targets it is for (globs); only those that are planned are put into the source.
        backends: backends whose build needs it.
        part: ``backend`` when nothing but a backend's own folder is edited, so that the runtime stays the same.
        only_with: a file that a tree must have for the patch to be about it; "" for any tree.
        upstream: where upstream speaks of it, or does the same.
    """

    name: str
    file: str
    sha256: str
    purpose: str
    targets: tuple[str, ...]
    backends: tuple[Backend, ...]
    part: Literal["backend", "tree"]
    only_with: str = ""
    upstream: str

    def serves(self, target: Target) -> bool:
        """Whether the patch is for a target."""
        return any(fnmatchcase(target.chip + target.suffix, glob) for glob in self.targets)


class Series(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All patches for one project, in the order they are applied."""

    schema: int
    name: str
    words: str
    patches: tuple[PatchRow, ...] = msgspec.field(name="patch", default=())
    trees: tuple[KnownTree, ...] = msgspec.field(name="tree", default=())

    def patch(self, name: str) -> PatchRow:
        """Return a patch by name.

        Raises:
            UnknownNameError: the series has no such patch.
        """
        for row in self.patches:
            if row.name == name:
                return row
        names = [row.name for row in self.patches]
        near = suggest(name, names)
        what = f"There is no patch {name!r} for {self.name}."
        hint = f"Did you mean {near[0]!r}?" if near else "gpubuild patch list shows what there is."
        raise UnknownNameError(what, hint=hint, details=tuple(names))


def series_names() -> tuple[str, ...]:
    """Return the names of all projects that have patches, sorted."""
    return tuple(sorted(path.parent.name for path in shipped_root("patches").glob(f"*/{SERIES}")))


def series_directory(name: str) -> Path:
    """Return the folder of a project's patches.

    Raises:
        UnknownNameError: there are none for it.
    """
    names = series_names()
    if name not in names:
        near = suggest(name, names)
        what = f"There are no patches for {name!r}."
        raise UnknownNameError(what, hint=f"Did you mean {near[0]!r}?" if near else f"Projects: {', '.join(names)}.")
    return shipped_root("patches") / name


def read_series(folder: Path) -> Series:
    """Read the series in `folder`.

    Raises:
        InvalidInputError: the folder holds none.
        DataError: it is not TOML, has a field nobody knows, a row without a source, or a name twice.
    """
    try:
        text = (folder / SERIES).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{folder} holds no {SERIES} that can be read."
        raise InvalidInputError(what, why=str(error)) from error
    label = f"{folder.name}/{SERIES}"
    series = decode_table(text, Series, label)
    names = [row.name for row in series.patches]
    twice = sorted({name for name in names if names.count(name) > 1})
    outside = [row.file for row in series.patches if Path(row.file).name != row.file]
    if twice or outside:
        what = f"The table {label} is damaged."
        why = f"the name {twice[0]} stands twice" if twice else f"{outside[0]!r} is not a file beside it"
        raise DataError(what, why=why)
    return series


@functools.cache
def load_series(name: str) -> Series:
    """Read the shipped series of a project; see `read_series`."""
    return read_series(series_directory(name))
