"""Who may do what: the one step that needs root's rights is named, and nothing else is ever asked for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from buildtool.errors import StorageError
from buildtool.shell import command_line
from buildtool.store.storage import FULL


class RightsError(StorageError):
    """A place that only root may write to; the hint is the one line that does it."""


def require_rights(folders: Iterable[Path]) -> None:
    """Refuse before anything is begun.

    Raises:
        RightsError: a folder cannot be written; names the exact line that can.
    """
    closed = sorted({str(folder) for folder in folders if not _writable(folder)})
    if closed:
        what = f"You may not write to {' and '.join(closed)}."
        raise RightsError(what, why="Nothing was changed.", hint=as_root(sys.argv[1:]))


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn whatever the operating system refuses while an installation is changed into words.

    Raises:
        StorageError: no space, read-only, in use, or a broken disk.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in FULL
        what = f"The disk of {place} is full." if full else f"{error.filename or place} cannot be changed."
        hint = "Free some space, then run it again." if full else "Cure that, then run it again."
        raise StorageError(what, why=error.strerror or str(error), hint=hint) from error


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def as_root(arguments: Iterable[str]) -> str:
    """Return the line that runs a command of gpubuild with root's rights."""
    program = shutil.which(sys.argv[0]) or shutil.which("gpubuild") or "gpubuild"
    return command_line(("sudo", str(Path(program).absolute()), *arguments))
