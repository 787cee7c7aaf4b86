"""Opens wheels, and says what the standard library finds wrong with them."""

from __future__ import annotations

import csv
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.wheel.sealing import dist_info_of

LARGEST_TEXT = 64 << 20  # bytes of one document in .dist-info
#: What zipfile lets through: its own errors, those of its codecs, and those of a place that the file does not have.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, csv.Error, EOFError, OSError, NotImplementedError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, str]]:
    """Open a wheel and find its ``.dist-info`` folder.

    Raises:
        InvalidInputError: there is no such file, or it is no wheel.
        IntegrityError: it is damaged.
    """
    if not path.is_file():
        what = f"There is no wheel {path}."
        raise InvalidInputError(what, hint="Name a file that ends with .whl.")
    with damage_told(path), zipfile.ZipFile(path) as archive:
        folder = dist_info_of(archive.namelist())
        if not folder:
            what = f"{path.name} is no wheel: it has no .dist-info/RECORD."
            raise InvalidInputError(what)
        yield archive, folder


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what the standard library raises on a damaged wheel into an error of ours.

    Raises:
        InvalidInputError: it may not be read.
        IntegrityError: it is damaged.
    """
    try:
        yield
    except PermissionError as error:
        what = f"{path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error)) from error
    except DAMAGED as error:
        what = f"{path.name} is damaged."
        raise IntegrityError(what, why=str(error), hint="Fetch or build it again.") from error


def document(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """Return a small file of a wheel, None when it has no such file.

    Raises:
        IntegrityError: it is too large for what it is called.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        return None
    if info.file_size > LARGEST_TEXT:
        what = f"{name} is {info.file_size} bytes long, which no such document is."
        raise IntegrityError(what)
    return archive.read(info)
