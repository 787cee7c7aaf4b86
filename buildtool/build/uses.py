"""Which build directories were configured with a toolkit."""

from __future__ import annotations

import json
from pathlib import Path

from buildtool.store.paths import cache_root
from buildtool.toolchain.model import Toolchain

STAMP = "gpubuild-configure.json"  # in every build directory: how it was configured


def toolkit_place(toolchain: Toolchain) -> str:
    """Return where a build's toolkit lies on this machine; "" when it needs none."""
    return toolchain.sandbox.place if toolchain.sandbox is not None else toolchain.root or ""


def builds_with(path: str) -> tuple[str, ...]:
    """Return the build directories of the cache whose toolkit lies at `path` or below it."""
    found = []
    for stamp in sorted((cache_root() / "build").glob(f"*/{STAMP}")):
        try:
            place = json.loads(stamp.read_text(encoding="utf-8")).get("toolkit", "")
        except (OSError, ValueError, AttributeError):
            continue
        if place and Path(place).is_relative_to(path):
            found.append(str(stamp.parent))
    return tuple(found)
