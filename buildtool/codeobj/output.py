"""A new file made of ranges of an old one and fresh bytes; what nothing covers is zero, and takes no space on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj.view import DamagedError

CHUNK = 8 << 20
MAX_SIZE = 1 << 40

Advance = Callable[[int], None]


class Copy(NamedTuple):
    """`size` bytes at `source` of the old file go to `at`."""

    at: int
    source: int
    size: int


class Put(NamedTuple):
    """`data` goes to `at`, over whatever was copied there."""

    at: int
    data: bytes


class Output(NamedTuple):
    """A whole file; copies do not overlap."""

    size: int
    copies: tuple[Copy, ...]
    puts: tuple[Put, ...] = ()


def whole(size: int) -> Output:
    """Return the output that is the old file as it is."""
    return Output(size, (Copy(0, 0, size),))


def checked(output: Output, source_size: int) -> Output:
    """Return the output, if all its parts lie where they can.

    Raises:
        DamagedError: one lies outside of the old file or of the new one.
    """
    copies = all(
        copy.size >= 0 and 0 <= copy.source <= source_size - copy.size and 0 <= copy.at <= output.size - copy.size
        for copy in output.copies
    )
    if not copies or not all(0 <= put.at <= output.size - len(put.data) for put in output.puts):
        what = "The file's tables name places that it does not have."
        raise DamagedError(what)
    return output


def write(output: Output, source: Path, target: Path, advance: Advance) -> None:
    """Write `output` to the new file `target`, with the mode and times of `source`.

    Raises:
        DamagedError: a range lies outside of the old file, or the new one would be absurdly large.
        FileExistsError: `target` is there already.
    """
    if output.size > MAX_SIZE:
        what = f"{source} would become {output.size} bytes long."
        raise DamagedError(what)
    with source.open("rb") as old, target.open("xb") as new:
        new.truncate(output.size)
        for copy in output.copies:
            _copy(old.fileno(), new.fileno(), copy, advance)
        for put in output.puts:
            new.seek(put.at)
            new.write(put.data)
    shutil.copystat(source, target)


def _copy(old: int, new: int, copy: Copy, advance: Advance) -> None:
    done = 0
    while done < copy.size:
        os.lseek(old, copy.source + done, os.SEEK_SET)
        chunk = os.read(old, min(CHUNK, copy.size - done))
        if not chunk:
            what = f"The file ends at {copy.source + done:#x}, before {copy.size - done} bytes it should hold."
            raise DamagedError(what)
        _write_at(new, copy.at + done, chunk)
        done += len(chunk)
        advance(len(chunk))


def _write_at(handle: int, at: int, chunk: bytes) -> None:
    """Write all of `chunk`; one that is all zeros is a hole already."""
    if not chunk.strip(b"\0"):
        return
    os.lseek(handle, at, os.SEEK_SET)
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(handle, rest) :]


def on_disk(path: Path) -> int:
    """Return how many bytes a file takes on its file system (its length, where the system does not tell)."""
    found = path.stat()
    blocks = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else int(blocks) * 512
