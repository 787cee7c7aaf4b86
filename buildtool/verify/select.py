"""Which artefact the words on the command line mean: wheels, or a directory of executables."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.store.digest import sha256_of
from buildtool.verify.model import Wheel
from buildtool.wheel.filename import plain_name

#: Every llama.cpp build has at least one of these.
PROGRAMS = ("llama-server", "llama-bench", "test-backend-ops", "llama-cli")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Either `wheels` with what is known about them, or the directory `executables`."""

    wheels: tuple[Path, ...] = ()
    described: tuple[Wheel, ...] = ()
    executables: Path | None = None


def select(paths: Sequence[Path]) -> Selection:
    """Find out what is to be proved.

    A directory stands for the newest wheel of every distribution in it, or, when it holds no wheel, for the
    executables of a build in it or in its ``bin``.

    Raises:
        InvalidInputError: a path does not exist, is no wheel, or a directory holds nothing to prove.
        IntegrityError: a wheel is no readable archive.
    """
    wheels: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = newest(path.glob("*.whl"))
            if not found and len(paths) == 1:
                return Selection(executables=executable_directory(path))
            wheels += found
        elif path.is_file():
            wheels.append(path)
        else:
            what = f"There is no file or directory {str(path)!r}."
            raise InvalidInputError(what, hint="Name wheels, or the directory that compile wrote them to.")
    if not wheels:
        what = "There is no wheel to prove."
        raise InvalidInputError(what, hint="Run gpubuild compile first, or name the wheels.")
    unique = tuple(dict.fromkeys(path.absolute() for path in wheels))
    return Selection(wheels=unique, described=tuple(describe(path) for path in unique))


def newest(paths: Iterable[Path]) -> list[Path]:
    """Return the newest wheel of every distribution: by version, then by build tag, then by time."""
    best: dict[str, tuple[tuple[Version, object, float], Path]] = {}
    for path in sorted(paths):
        name, version, build = _parse(path)
        rank = (version, build, path.stat().st_mtime)
        if name not in best or rank > best[name][0]:
            best[name] = (rank, path)
    return [path for _, path in best.values()]


def _parse(path: Path) -> tuple[str, Version, tuple[int, str] | tuple[()]]:
    try:
        name, version, build, _ = parse_wheel_filename(plain_name(path.name))
    except InvalidWheelFilename as error:
        what = f"{path.name} is not the name of a wheel."
        raise InvalidInputError(what, why=str(error)) from error
    return str(name), version, build


def describe(path: Path) -> Wheel:
    """Return name, version and digest of a wheel.

    Raises:
        InvalidInputError: its name is not a wheel's.
        IntegrityError: it is not a readable archive.
    """
    name, version, _ = _parse(path)
    if not zipfile.is_zipfile(path):
        what = f"{path.name} is damaged: it is no zip archive."
        raise IntegrityError(what, hint="Build it again, or copy it again.")
    return Wheel(filename=path.name, distribution=name, version=str(version), sha256=sha256_of(path))


def program(directory: Path, name: str) -> Path | None:
    """Return the executable `name` in `directory`, if it is there."""
    return next((path for path in (directory / name, directory / f"{name}.exe") if path.is_file()), None)


def executable_directory(path: Path) -> Path:
    """Return the directory of llama.cpp's executables that `path` means: itself, its ``bin``, or a program's.

    Raises:
        InvalidInputError: there is none.
    """
    for candidate in (path, path / "bin", path / "build" / "bin", path.parent):
        if any(program(candidate, name) for name in PROGRAMS) and (candidate != path.parent or path.is_file()):
            return candidate.absolute()
    what = f"{str(path)!r} holds neither wheels nor llama.cpp's executables."
    why = "Looked for *.whl, and for " + ", ".join(PROGRAMS) + " in it and in its bin."
    raise InvalidInputError(what, why=why)
