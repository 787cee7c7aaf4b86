"""Disk trouble in words: no space, no permission, a read-only place."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildtool.errors import StorageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
BAD_PATH = frozenset({errno.ENAMETOOLONG, errno.ELOOP})  # of a name that no file could have
IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR})  # a file where a folder should be, or the reverse
MOVE_HINT = "Name another place with GPUBUILD_STORE (toolchains, sources) and GPUBUILD_CACHE (downloads, builds)."


def readable_size(count: int) -> str:
    """Render a number of bytes for people: ``1.1 GB``."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - SI units
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def existing_parent(path: Path) -> Path:
    """Return `path` or its nearest ancestor that exists."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return path


def file_system(path: Path) -> Path:
    """Return the mount point of the file system that holds (or will hold) `path`."""
    place = existing_parent(path).absolute()
    device = place.stat().st_dev
    while place != place.parent and place.parent.stat().st_dev == device:
        place = place.parent
    return place


def free_bytes(path: Path) -> int:
    """Return the space left, in bytes, on the file system that holds (or will hold) `path`."""
    return shutil.disk_usage(existing_parent(path)).free


def require_space(path: Path, needed: int, purpose: str, *, hint: str = MOVE_HINT) -> None:
    """Refuse to begin what cannot end.

    Args:
        path: where it will be written.
        needed: bytes it takes.
        purpose: what is being written, for the message.
        hint: what to do when it does not fit.

    Raises:
        StorageError: fewer than `needed` bytes are free at `path`.
    """
    free = free_bytes(path)
    if free < needed:
        what = f"There is not enough space for {purpose}."
        why = f"It needs {readable_size(needed)}; {readable_size(free)} are free on {file_system(path)}."
        raise StorageError(what, why=why, hint=hint)


@contextmanager
def storage_errors(path: Path, purpose: str, *, needed: int | None = None, hint: str = MOVE_HINT) -> Iterator[None]:
    """Turn the operating system's refusals while writing under `path` into `StorageError`.

    Args:
        path: the place that is written to.
        purpose: what is being written, for the message.
        needed: bytes the whole work needs, when known.
        hint: another place to name.

    Raises:
        StorageError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            what = f"The disk is full while writing {purpose}."
            size = f"It needs {readable_size(needed)}; " if needed else ""
            why = f"{size}{readable_size(free_bytes(path))} are free on {file_system(path)}."
            raise StorageError(what, why=why, hint=f"Free some space. {hint}") from error
        if error.errno in REFUSED | BAD_PATH | IN_THE_WAY:
            what = f"{error.filename or path} cannot be written ({purpose})."
            raise StorageError(what, why=error.strerror or str(error), hint=hint) from error
        raise


def make_read_only(tree: Path) -> None:
    """Take write permission from every file and directory under `tree`, and from `tree` itself."""
    for folder, _, names in os.walk(tree, topdown=False):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o555 if path.stat().st_mode & stat.S_IXUSR else 0o444)
        Path(folder).chmod(0o555)


def delete_tree(tree: Path) -> None:
    """Delete `tree`, also where it was made read-only; nothing happens when it does not exist.

    Of a link, and of a file in its place, nothing but itself goes.
    """
    if tree.is_symlink() or not tree.is_dir():
        tree.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(tree):
        Path(folder).chmod(0o755)
    shutil.rmtree(tree)


def tree_size(tree: Path) -> tuple[int, int]:
    """Return how many bytes the files under `tree` hold, and how many files there are."""
    total = count = 0
    for folder, _, names in os.walk(tree):
        for name in names:
            total += Path(folder, name).lstat().st_size
            count += 1
    return total, count
