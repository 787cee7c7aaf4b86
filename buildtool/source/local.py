"""The user's own source tree: used where it lies, never changed."""

from __future__ import annotations

from buildtool.errors import InvalidInputError
from buildtool.source.digest import tree_digest
from buildtool.source.model import SourceTree
from buildtool.source.unpacked import TOP_LEVEL
from buildtool.store.paths import expanded


def local_tree(path: str, subdir: str) -> SourceTree:
    """Describe the tree at `path`.

    Raises:
        InvalidInputError: it is not a folder with a CMakeLists.txt.
    """
    tree = (expanded(path) / subdir).absolute()
    if not (tree / TOP_LEVEL).is_file():
        what = f"{tree} is not a source tree."
        why = f"It has no {TOP_LEVEL}." if tree.is_dir() else "There is no such folder."
        raise InvalidInputError(what, why=why, hint="Give the top folder of a llama.cpp checkout.")
    return SourceTree(path=str(tree), digest=tree_digest(tree), mutable=True)
