"""The copy that is built: the checkout as it is now, with the patches that its targets need."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
from collections.abc import Iterable
from pathlib import Path

from buildtool.checkout.model import Order
from buildtool.compat.series import PatchRow, load_series, series_directory
from buildtool.compat.targets import Target, parse_targets
from buildtool.patch import Verdict, rehearse
from buildtool.patch.apply import copy_tree
from buildtool.source.digest import source_files, tree_digest
from buildtool.source.model import SourceTree
from buildtool.store.storage import delete_tree, require_space, storage_errors, tree_size

PROJECT = "ollama"
MANIFEST = "gpubuild-copy.json"


def refreshed(order: Order, work: Path) -> tuple[Path, tuple[Verdict, ...]]:
    """Bring the copy below `work` up to the checkout's state; files that are the same stay, and so does what was built.

    Raises:
        PatchConflictError: a patch does not fit the checkout; nothing was copied then.
        InvalidInputError: the checkout changed while it was copied, or holds what is neither file nor link.
        StorageError: no space, or `work` cannot be written.
    """
    source = SourceTree(path=order.tree.path, digest=tree_digest(Path(order.tree.path)), mutable=True)
    draft, verdicts = rehearse(series_directory(PROJECT), _wanted(order), order.tree.path)
    copy, fresh = work / "tree", work / "fresh"
    with storage_errors(work, "the copy of the checkout"):
        require_space(work, tree_size(Path(source.path))[0], "the copy of the checkout")
        delete_tree(fresh)
        fresh.mkdir(parents=True)
        copy_tree(source, fresh, draft.edited)
        names = [name for name, _ in source_files(str(fresh))]
        _forget(copy, work / MANIFEST, names)  # first: a file may have become a folder
        for name in names:
            _move(fresh / name, copy / name)
        delete_tree(fresh)
    return copy, verdicts


def _wanted(order: Order) -> list[tuple[PatchRow, tuple[Target, ...]]]:
    targets = parse_targets(order.targets)
    rows = [(row, tuple(one for one in targets if row.serves(one))) for row in load_series(PROJECT).patches]
    return [(row, mine) for row, mine in rows if mine and order.backend in row.backends]


def _move(new: Path, place: Path) -> None:
    """Put a file or link into its place, unless the same one stands there."""
    if place.is_symlink() or new.is_symlink():
        same = place.is_symlink() and new.is_symlink() and place.readlink() == new.readlink()
    else:
        same = place.is_file() and place.stat().st_mode == new.stat().st_mode and filecmp.cmp(new, place, shallow=False)
    if not same:
        if place.is_dir() and not place.is_symlink():
            delete_tree(place)  # the folder that it was, with what the build made in there
        place.parent.mkdir(parents=True, exist_ok=True)
        new.replace(place)
        if not place.is_symlink():
            os.utime(place)  # newer than what was built from the one before


def _forget(copy: Path, manifest: Path, names: Iterable[str]) -> None:
    """Take away what was copied once and is in the checkout no more; what the build made stays."""
    now = sorted(names)
    try:
        before = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError):
        before = []
    for name in set(before) - set(now):
        with contextlib.suppress(NotADirectoryError):
            (copy / name).unlink(missing_ok=True)
    manifest.write_text(json.dumps(now), "utf-8")


def llama_cpp_copy(source: SourceTree, work: Path) -> Path:
    """Return a copy of llama.cpp that Ollama's build may patch, made once for each tree.

    Raises:
        StorageError: no space, or `work` cannot be written.
    """
    place = work / f"llama.cpp-{source.digest[:12]}"
    draft = work / "llama.cpp-draft"
    if not place.is_dir():
        with storage_errors(work, "the copy of llama.cpp"):
            delete_tree(draft)
            draft.mkdir(parents=True)
            copy_tree(source, draft, {})
            draft.rename(place)
    return place
