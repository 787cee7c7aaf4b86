"""Where gpubuild keeps things: a store under the user's data directory, caches under the cache directory."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def store_root() -> Path:
    """Return the store's root: ``GPUBUILD_STORE`` if set, else the user's data directory."""
    override = os.environ.get("GPUBUILD_STORE")
    return Path(override).absolute() if override else Path(platformdirs.user_data_path("gpubuild"))


def cache_root() -> Path:
    """Return the root of caches and build directories: ``GPUBUILD_CACHE`` if set, else the user's cache."""
    override = os.environ.get("GPUBUILD_CACHE")
    return Path(override).absolute() if override else Path(platformdirs.user_cache_path("gpubuild"))
