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
