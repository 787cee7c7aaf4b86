"""Several unpacked archives made one tree."""

from __future__ import annotations

import filecmp
from pathlib import Path

from buildtool.errors import IntegrityError

LICENCE = "LICENSE"


def merge(name: str, part: Path, into: Path) -> None:
    """Move the content of an archive's only top folder below `into`; a licence that differs is kept beside.

    Args:
        name: of the archive, for messages and for its licence.
        part: where it was unpacked.
        into: the tree so far.

    Raises:
        IntegrityError: the archive has no single top folder, or holds another content of a file that is there.
    """
    tops = list(part.iterdir())
    if len(tops) != 1 or not tops[0].is_dir() or tops[0].is_symlink():
        what = f"The archive of {name} has not one top folder but {len(tops)} names."
        raise IntegrityError(what, hint="Check the address it came from.")
    _move(name, tops[0], into, top=True)


def _move(name: str, part: Path, into: Path, *, top: bool = False) -> None:
    into.mkdir(exist_ok=True)
    for one in sorted(part.iterdir()):
        place = into / one.name
        if one.is_dir() and not one.is_symlink() and place.is_dir() and not place.is_symlink():
            _move(name, one, place)
        elif not place.exists() and not place.is_symlink():
            one.rename(place)
        elif not _same(one, place):
            if top and one.name.startswith(LICENCE):
                one.rename(into / f"{one.name}.{name}")
                continue
            what = f"Two archives of the toolkit hold a different {one.name}."
            raise IntegrityError(what, why=f"The second is in {name}.", hint="Check the address they came from.")


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
