"""Gathers the wheels of an index, and refuses what would make it ambiguous or rewrite what was published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.index.model import CATALOGUE, Catalogue, IndexedWheel
from buildtool.index.wheelfile import kind_of, read_wheel

LARGEST_CATALOGUE = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel, where it lies now, and its METADATA."""

    wheel: IndexedWheel
    path: Path
    metadata: bytes


def load_catalogue(data: bytes, where: str) -> Catalogue:
    """Read a catalogue.

    Raises:
        InvalidInputError: it is damaged, or of a schema this version does not read.
    """
    try:
        catalogue = msgspec.json.decode(data, type=Catalogue)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        what = f"The catalogue {where} is not one that this gpubuild reads."
        raise InvalidInputError(what, why=str(error), hint="Write it again: gpubuild index build DIR") from error
    if catalogue.schema != Catalogue(wheels=()).schema:
        what = f"The catalogue {where} is of schema {catalogue.schema}."
        raise InvalidInputError(what, hint="Update gpubuild, or write the index again with this one.")
    for wheel in catalogue.wheels:
        why = _wrong(wheel)
        if why:
            what = f"The catalogue {where} names a file {wheel.filename!r}."
            raise InvalidInputError(what, why=why)
    return catalogue


def _wrong(wheel: IndexedWheel) -> str:
    """Say what is wrong with a row of a stranger's catalogue; "" when nothing is."""
    if Path(wheel.filename).name != wheel.filename:
        return "A wheel of an index lies directly in it."
    if not _SHA256.fullmatch(wheel.sha256):  # it names a folder of the downloads
        return f"{wheel.sha256[:80]!r} is no sha256."
    try:
        name, version, *_ = parse_wheel_filename(wheel.filename)
        same = (str(name), version) == (wheel.distribution, Version(wheel.version))
    except ValueError as error:  # packaging's own errors, and Python's for a number of thousands of digits
        return str(error)
    if not same:
        return f"It says that this is {wheel.distribution} {wheel.version}."
    role, family = kind_of(wheel.distribution)
    return (
        "" if (role, family) == (wheel.role, wheel.family) else f"It says that this is a {wheel.family} {wheel.role}."
    )


def catalogue_of(folder: Path) -> Catalogue:
    """Return the catalogue in a folder; an empty one where there is none yet.

    Raises:
        InvalidInputError: it cannot be read.
    """
    path = folder / CATALOGUE
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_CATALOGUE)
    except FileNotFoundError:
        return Catalogue(wheels=())
    except OSError as error:
        what = f"{path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error)) from error
    return load_catalogue(data, str(path))


def collect(folders: Iterable[Path], published: Catalogue) -> tuple[Found, ...]:
    """Read every wheel below some folders, sorted by file name; a yanked one stays yanked.

    Raises:
        InvalidInputError: no folder, no wheel, or two wheels of one name.
        IntegrityError: a wheel was changed, or is not the one that was published under its name.
    """
    found: dict[str, Found] = {}
    for folder in folders:
        for path in _wheels_below(folder):
            wheel, metadata = read_wheel(path)
            before = found.get(wheel.filename)
            if before is not None and before.wheel.sha256 != wheel.sha256:
                what = f"There are two wheels {wheel.filename} with different content."
                hint = "Keep the right one; jobs that build one runtime twice must hand over only one of them."
                raise InvalidInputError(what, hint=hint, details=(str(before.path), str(path)))
            found.setdefault(wheel.filename, Found(wheel=wheel, path=path, metadata=metadata))
    if not found:
        what = f"There is no wheel in {', '.join(map(str, folders))}."
        raise InvalidInputError(what, hint="Build one first: gpubuild compile --out DIR")
    _refuse_twins(found.values())
    known = {wheel.filename: wheel for wheel in published.wheels}
    return tuple(_as_published(found[name], known.get(name)) for name in sorted(found))


def require_folder(folder: Path) -> None:
    """Refuse a folder that is not there.

    Raises:
        InvalidInputError: it is not.
    """
    if not folder.is_dir():
        what = f"There is no directory {folder}."
        raise InvalidInputError(what, hint="Name the directory that holds the wheels.")


def _wheels_below(folder: Path) -> Iterator[Path]:
    require_folder(folder)
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if name.endswith(".whl") and not name.startswith("."))


def _refuse_twins(found: Iterable[Found]) -> None:
    """Refuse two files that an installer takes for one: same name, version, build and tags, written differently."""
    seen: dict[object, Found] = {}
    for one in found:
        before = seen.setdefault(parse_wheel_filename(one.wheel.filename), one)
        if before is not one:
            what = f"{before.wheel.filename} and {one.wheel.filename} are one wheel under two names."
            raise InvalidInputError(what, hint="Keep one.", details=(str(before.path), str(one.path)))


def _as_published(one: Found, before: IndexedWheel | None) -> Found:
    if before is None:
        return one
    if before.sha256 != one.wheel.sha256:
        what = f"{one.wheel.filename} is not the file that this index published under that name."
        why = f"Its sha256 is {one.wheel.sha256}, published was {before.sha256}."
        hint = "Put the published file back, or give the new one a version of its own; --replace overrides."
        raise IntegrityError(what, why=why, hint=hint)
    return msgspec.structs.replace(one, wheel=msgspec.structs.replace(one.wheel, yanked=before.yanked))
