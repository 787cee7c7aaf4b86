"""Where gpubuild keeps things: a store under the user's data directory, caches under the cache directory.

And where people's own things are: the one place that reads ``~``.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from buildtool.errors import InvalidInputError


def store_root() -> Path:
    """Return the store's root: ``GPUBUILD_STORE`` if set, else the user's data directory."""
    override = os.environ.get("GPUBUILD_STORE")
    return Path(override).absolute() if override else Path(platformdirs.user_data_path("gpubuild"))


def cache_root() -> Path:
    """Return the root of caches and build directories: ``GPUBUILD_CACHE`` if set, else the user's cache."""
    override = os.environ.get("GPUBUILD_CACHE")
    return Path(override).absolute() if override else Path(platformdirs.user_cache_path("gpubuild"))


def expanded(path: str | Path) -> Path:
    """Return a path that a person wrote, with a ``~`` at its beginning put out.

    Raises:
        InvalidInputError: it names the home directory of a user that is not known here.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        what = f"{str(path)!r} names the home directory of a user that is not known here."
        raise InvalidInputError(what, hint="Write the whole path.") from error


def resolved(path: str | Path) -> Path:
    """Return where a path that a person wrote leads, its links followed.

    Raises:
        InvalidInputError: as `expanded` says, or its links lead in a circle.
    """
    try:
        return expanded(path).resolve()
    except RuntimeError as error:  # until Python 3.12; a later one returns the circle, where there is nothing
        what = f"{str(path)!r} is a link that leads in a circle."
        raise InvalidInputError(what, hint="Name the file or folder itself.") from error
