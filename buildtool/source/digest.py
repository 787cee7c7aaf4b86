"""One digest for a source tree, wherever it lies: names, kinds, the executable bit and contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from buildtool.store.storage import storage_errors

# Never part of the source, wherever they appear. A subfolder that holds CMAKE_CACHE is a build directory.
SKIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv"})
CMAKE_CACHE = "CMakeCache.txt"
BATCH = 64


def tree_digest(tree: Path) -> str:
    """Return the sha256 (hex) of everything under `tree` that belongs to the source.

    Write permission, times and owners do not count, so a read-only copy has the digest of its original.

    Raises:
        StorageError: a file cannot be read.
    """
    with storage_errors(tree, "reading the source tree"):
        files = sorted(source_files(str(tree)))
        whole = hashlib.sha256()
        batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            for lines in pool.map(_lines, batches):
                whole.update(lines)
    return whole.hexdigest()


def source_files(tree: str) -> Iterator[tuple[str, str]]:
    """Yield (name with slashes, path) of each file and link, in any order."""
    stack = [tree]
    while stack:
        folder = stack.pop()
        with os.scandir(folder) as listing:
            children = [child for child in listing if child.name not in SKIPPED]
        if folder != tree and any(child.name == CMAKE_CACHE for child in children):
            continue
        for child in children:
            if child.is_dir(follow_symlinks=False):
                stack.append(child.path)
            else:
                yield child.path[len(tree) + 1 :].replace(os.sep, "/"), child.path


def _lines(files: list[tuple[str, str]]) -> bytes:
    return b"".join(map(_line, files))


def _line(file: tuple[str, str]) -> bytes:
    name, path = file
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        kind, content = "link", hashlib.sha256(os.fsencode(Path(path).readlink())).hexdigest()
    elif stat.S_ISREG(mode):
        kind = "program" if mode & stat.S_IXUSR else "file"
        with open(path, "rb") as stream:  # noqa: PTH123 - thousands of times, and Path costs more than the read
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    else:
        kind, content = "other", ""
    return f"{kind} {content} {name}\n".encode("utf-8", "surrogateescape")
