"""The device code of a bundle: what the vendor's libraries hold, and what of it goes along, under which name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj import compress, inspect, retarget, thin
from buildtool.codeobj.manifest import NAME as MANIFEST
from buildtool.runtime.closure import Folder
from buildtool.runtime.model import Rung
from buildtool.store.progress import Progress

GFX = "{gfx}"
WORD = r"gfx[0-9a-f]+(?:-[0-9a-z]+-generic|-generic)?"


class Holding(NamedTuple):
    """Which processors a library or folder has code for; `by_name` when it is chosen by file names."""

    processors: frozenset[str]
    by_name: bool


def in_library(path: Path) -> Holding | None:
    """Return what a library's device code is for; None when it has no AMD code in a section of its own."""
    images = [image for file in inspect(path).files for image in file.images if image.kind == "hsaco" and image.section]
    return Holding(_processors(image.target for image in images), by_name=False) if images else None


def in_folder(folder: Folder) -> Holding | None:
    """Return which processors a folder has files for, by the name the library looks for."""
    if not folder.row.chosen:
        return None
    before, _, after = folder.row.chosen.partition(GFX)
    pattern = re.compile(re.escape(before) + f"({WORD})" + re.escape(after))
    names = [found[1] for path in folder.path.rglob("*") if (found := pattern.fullmatch(path.name))]
    return Holding(frozenset(names), by_name=True)


def _processors(targets: Iterable[str]) -> frozenset[str]:
    return frozenset(target.partition(":")[0] for target in targets if target)


def kept(rungs: Iterable[Rung]) -> tuple[str, ...]:
    """Return the targets whose code stays when a library is thinned: for a renamed one, its donor."""
    return tuple(rung.donor if rung.name == "sibling" else rung.target for rung in rungs)


def cut(library: Path, targets: Sequence[str], out: Path, *, progress: Progress) -> bool:
    """Write a library with the device code for some targets only; tell whether it has any, else nothing is written.

    Raises:
        DamagedError: the file contradicts itself.
        IncompatibleError: its device code serves none of the targets.
        StorageError: there is no space.
    """
    if not any(file.images for file in inspect(library).files):
        return False
    thin(library, targets, out, progress=progress)
    return True


def serve(
    parts: Iterable[Path], rungs: tuple[Rung, ...], work: Path, *, packed: bool, progress: Progress
) -> tuple[Path, list[Path]]:
    """Thin libraries and folders to what serves the rungs, give siblings' code its new name, compress it all.

    Args:
        parts: libraries of our own and folders of the vendor; all of different names.
        rungs: how each target is served.
        work: an empty directory for the results.
        packed: whether the code is compressed.
        progress: told how far it is.

    Returns:
        The directory with the results, and the manifests of what was renamed.

    Raises:
        DamagedError: a file contradicts itself.
        StorageError: there is no space.
    """
    place = work / "thin"
    place.mkdir()
    for part in parts:
        thin(part, kept(rungs), place / part.name, progress=progress)
    manifests = []
    renames = dict.fromkeys((rung.donor, rung.target.partition(":")[0]) for rung in rungs if rung.name == "sibling")
    for old, new in renames:
        made = work / new
        retarget(place, old, new, made, thinned=False, progress=progress)
        record = work / f"retarget-{old}-{new}.json"
        (made / MANIFEST).rename(record)
        manifests.append(record)
        place = made
    if packed:
        compress(place, work / "packed", progress=progress)
        place = work / "packed"
    return place, manifests
