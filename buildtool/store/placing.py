"""Files that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(target: Path, mode: int = 0o644) -> Iterator[Path]:
    """Give an empty file beside `target`; it takes that place when the block ends well, else it is gone.

    Args:
        target: its place, in a folder that is there.
        mode: who may read it there; before, its owner alone.

    Raises:
        OSError: the folder of `target` cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=".gpubuild-", dir=target.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(mode)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file, on the disk before it has its name; its folder is made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path, mode) as draft, draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
