"""Whether a toolkit's archives and their content fit on the disk, found out before anything is fetched."""

from __future__ import annotations

from pathlib import Path

from buildtool.compat.model import Pin
from buildtool.store.paths import cache_root
from buildtool.store.storage import existing_parent, require_space


def require_room(content: Path, pins: tuple[Pin, ...], factor: float, name: str) -> None:
    """Refuse to begin what cannot end.

    Args:
        content: where the archives will be unpacked.
        pins: the archives; those of unknown size count for nothing.
        factor: how many bytes come of one byte of archive.
        name: of the toolkit, for the message.

    Raises:
        StorageError: archives or content do not fit.
    """
    fetch = sum(pin.bytes for pin in pins)
    tree, downloads = int(fetch * factor), existing_parent(cache_root() / "downloads")
    if downloads.stat().st_dev == existing_parent(content).stat().st_dev:
        require_space(content, tree + fetch, f"the toolkit {name}")
        return
    require_space(content, tree, f"the toolkit {name}")
    require_space(downloads, fetch, f"the archives of {name}")
