"""Which build directories were configured with a toolkit."""

from __future__ import annotations

import json
from pathlib import Path

from buildtool.store.paths import cache_root
from buildtool.toolchain.model import Toolchain

STAMP = "gpubuild-configure.json"  # in every build directory: how it was configured


def toolkit_places(toolchain: Toolchain) -> tuple[str, ...]:
    """Return where what a build compiles with lies: what it runs inside, and its toolkit; () for neither."""
    inside = (toolchain.sandbox.place,) if toolchain.sandbox is not None else ()
    return (*inside, *((toolchain.root,) if toolchain.root else ()))


def builds_with(path: str) -> tuple[str, ...]:
    """Return the build directories of the cache that compile with something at `path` or below it."""
    found = []
    for stamp in sorted((cache_root() / "build").glob(f"*/{STAMP}")):
        try:
            places = json.loads(stamp.read_text(encoding="utf-8"))["toolkits"]
            used = any(Path(place).is_relative_to(path) for place in places)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if used:
            found.append(str(stamp.parent))
    return tuple(found)
