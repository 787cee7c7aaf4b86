"""From an archive to a tree in the store: only the wanted folder, checked, digested, read-only."""

from __future__ import annotations

from pathlib import Path

from buildtool.errors import InvalidInputError
from buildtool.source.digest import tree_digest
from buildtool.store.archive import check_links, unpack
from buildtool.store.entries import Filled
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree

TOP_LEVEL = "CMakeLists.txt"


def fill_tree(archive: Path, subdir: str, origin: str, content: Path, progress: Progress | None) -> Filled:
    """Put the folder `subdir` of `archive` into the empty folder `content`.

    An archive usually holds one folder with everything in it (``name-version/``); it need not.

    Args:
        archive: the verified archive.
        subdir: the folder that holds the top-level CMakeLists.txt, "" for the archive's own top.
        origin: where the archive came from, for people.
        content: where to.
        progress: told how far the unpacking is.

    Raises:
        InvalidInputError: the archive has no such folder, or there is no CMakeLists.txt in it.
        UnsafeArchiveError: see `buildtool.store.archive.unpack`.
    """
    draft = content.with_name("unpacked")
    draft.mkdir()
    inside = f"{subdir}/" if subdir else ""

    def wanted(name: str) -> bool:
        return name.startswith(inside) or name.partition("/")[2].startswith(inside)

    unpack(archive, draft, wanted=wanted, progress=progress)
    tree = _top(draft) / subdir if subdir else _top(draft)
    if not (tree / TOP_LEVEL).is_file():
        what = f"{archive.name} holds no {inside}{TOP_LEVEL}."
        raise InvalidInputError(what, hint="Name the folder that holds it, or another source.")
    check_links(archive, tree)
    content.rmdir()
    tree.rename(content)
    delete_tree(draft)
    return Filled(origin=origin, facts={"digest": tree_digest(content)})


def _top(draft: Path) -> Path:
    children = list(draft.iterdir())
    if len(children) == 1 and children[0].is_dir() and not (draft / TOP_LEVEL).exists():
        return children[0]
    return draft
