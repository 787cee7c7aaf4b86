"""What lies under a path, and a new copy of it that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import posixpath
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from buildtool.errors import InvalidInputError, StorageError
from buildtool.store.storage import delete_tree

MAX_DEPTH = 64
ANOTHER_PLACE = "Name another place with --out."


class Entry(NamedTuple):
    """A file, folder or symbolic link: its relative path with ``/`` ("" for a single file), size, and a link's text."""

    name: str
    kind: Literal["file", "folder", "link"]
    size: int = 0
    text: str = ""


def survey(root: Path) -> list[Entry]:
    """List a file, or everything under a folder, folders before what they hold; links are not followed.

    Raises:
        InvalidInputError: it does not exist, holds nothing, or holds something that is neither file, folder nor link,
            or a link that leads out of it.
        StorageError: a folder cannot be read.
    """
    if root.is_file():
        size = root.stat().st_size
        if not size:
            what = f"{root} is empty."
            raise InvalidInputError(what)
        return [Entry("", "file", size)]
    if not root.is_dir():
        what = f"{root} {'is neither a file nor a folder' if root.exists() else 'does not exist'}."
        raise InvalidInputError(what)
    try:
        found = list(_walk(root, "", 0))
    except OSError as error:
        what = f"{error.filename or root} cannot be read."
        raise StorageError(what, why=error.strerror or str(error)) from error
    if not any(entry.kind == "file" for entry in found):
        what = f"{root} holds no files."
        raise InvalidInputError(what)
    return found


def _walk(root: Path, folder: str, depth: int) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        what = f"{root} has folders more than {MAX_DEPTH} deep."
        raise InvalidInputError(what)
    with os.scandir(root / folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        name = posixpath.join(folder, entry.name)
        if entry.is_symlink():
            yield Entry(name, "link", text=_link_text(root, name))
        elif entry.is_dir():
            yield Entry(name, "folder")
            yield from _walk(root, name, depth + 1)
        elif entry.is_file():
            yield Entry(name, "file", entry.stat().st_size)
        else:
            what = f"{root / name} is neither a file, a folder nor a link."
            raise InvalidInputError(what)


def reached(link: Entry) -> str:
    """Return the relative name that a link's text leads to, links on the way not counted."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(link.name), link.text))


def leads_out(name: str, text: str) -> bool:
    """Tell whether a link called `name` leads out of the tree that it lies in."""
    end = reached(Entry(name, "link", text=text))
    return posixpath.isabs(text) or end == ".." or end.startswith("../")


def _link_text(root: Path, name: str) -> str:
    path = root / name
    text = path.readlink().as_posix()
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))  # ".." behind another link
    if not inside or leads_out(name, text):
        what = f"{path} is a link out of its tree, to {text}."
        hint = "Take it away, or put what it points to in its place; then try again."
        raise InvalidInputError(what, why="The result is to stand by itself.", hint=hint)
    return text


def check_out(source: Path, out: Path) -> None:
    """Refuse a place for the result that is taken, is the source, or lies in it.

    Raises:
        InvalidInputError: which of these it is.
        StorageError: its folder does not exist.
    """
    real, place = (Path(os.path.realpath(path)) for path in (source, out))  # links in a circle are no error yet
    if real == place:
        what = f"{out} is the source itself."
        raise InvalidInputError(what, why="The source is never changed.", hint=ANOTHER_PLACE)
    if (source.is_dir() and place.is_relative_to(real)) or real.is_relative_to(place):
        what = f"{out} and {source} lie one inside the other."
        raise InvalidInputError(what, why="The source is never changed.", hint=ANOTHER_PLACE)
    if out.exists() or out.is_symlink():
        what = f"{out} exists already."
        raise InvalidInputError(what, hint="Name another place with --out, or take it away first.")
    if not out.absolute().parent.is_dir():
        what = f"The folder of {out} does not exist."
        raise StorageError(what, hint="Make it first.")


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Give a place beside `out` to build the result in; it becomes `out` at the end, or vanishes with an error."""
    place = out.absolute().with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        yield place
        if out.exists() or out.is_symlink():
            what = f"{out} has come into being meanwhile."
            raise InvalidInputError(what)
        place.rename(out)
    finally:
        _remove(place)


def _remove(place: Path) -> None:
    if place.is_dir():
        delete_tree(place)
    else:
        place.unlink(missing_ok=True)


def copy_folder_modes(root: Path, place: Path, folders: list[tuple[str, str]]) -> None:
    """Give new folders, listed as (name in `root`, name in `place`), mode and times of the old; the deepest first."""
    for old, new in sorted([*folders, ("", "")], reverse=True):
        shutil.copystat(root / old, place / new)


def writable(path: Path) -> None:
    """Make sure that a file of our own can be changed; its final mode is given later."""
    mode = path.stat().st_mode
    if not mode & stat.S_IWUSR:
        path.chmod(mode | stat.S_IWUSR)
