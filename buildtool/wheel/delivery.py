"""Brings finished wheels from the build directory to where the user wants them, each whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from buildtool.errors import StorageError
from buildtool.store.digest import sha256_of
from buildtool.store.placing import draft_of
from buildtool.store.storage import require_space
from buildtool.wheel.model import Wheel

HINT = "Choose another directory with --out."


def require_folder(out: Path) -> None:
    """Make the folder for the wheels, and find out whether a file can be written there.

    Raises:
        StorageError: it cannot.
    """
    with _refusals(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".gpubuild-"):
            pass


def deliver(wheels: tuple[Wheel, ...], out: Path) -> tuple[Wheel, ...]:
    """Copy wheels into `out` under their own names; what is there already stays.

    Raises:
        StorageError: they do not fit, or `out` cannot be written.
    """
    with _refusals(out):
        out.mkdir(parents=True, exist_ok=True)
        placed = [msgspec.structs.replace(one, path=str((out / Path(one.path).name).absolute())) for one in wheels]
        pending = [(old, new) for old, new in zip(wheels, placed, strict=True) if not intact(new)]
        require_space(out, sum(new.bytes for _, new in pending), "the wheels", hint=HINT)
        for old, new in pending:
            with draft_of(Path(new.path)) as draft:
                shutil.copyfile(old.path, draft)
    return tuple(placed)


@contextmanager
def _refusals(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"The wheels could not be written to {out}."
        raise StorageError(what, why=error.strerror or str(error), hint=HINT) from error


def intact(wheel: Wheel) -> bool:
    """Tell whether a wheel's file is there as it was packed."""
    path = Path(wheel.path)
    return path.is_file() and path.stat().st_size == wheel.bytes and sha256_of(path) == wheel.sha256
