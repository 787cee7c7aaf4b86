"""What a plan's patches change in its source, as one unified diff for ``git apply``."""

from __future__ import annotations

import difflib
from pathlib import Path

from buildtool.source.model import SourceTree


def patch_text(before: SourceTree, after: SourceTree) -> str:
    """Return the difference of two trees with the same files; "" when they are one.

    Args:
        before: the source.
        after: its patched copy.
    """
    if before.path == after.path:
        return ""
    chunks: list[str] = []
    for path in sorted(Path(after.path).rglob("*")):
        name = path.relative_to(after.path).as_posix()
        old = Path(before.path, name)
        if not path.is_file() or path.is_symlink() or path.read_bytes() == old.read_bytes():
            continue
        was, now = (one.read_text("utf-8").splitlines(keepends=True) for one in (old, path))
        chunks += difflib.unified_diff(was, now, f"a/{name}", f"b/{name}")
    return "".join(chunks)
