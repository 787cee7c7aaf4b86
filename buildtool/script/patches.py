"""What a plan's patches change in its source, as one unified diff for ``git apply``."""

from __future__ import annotations

import difflib
import io
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
        chunks += map(_ended, difflib.unified_diff(_lines(old), _lines(path), f"a/{name}", f"b/{name}"))
    return "".join(chunks)


def _lines(path: Path) -> list[str]:
    """Return a file's lines as git tells them apart: at line feeds alone, which stay."""
    return io.StringIO(path.read_bytes().decode("utf-8"), newline="\n").readlines()


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
