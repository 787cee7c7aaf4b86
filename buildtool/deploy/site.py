"""The file system that is looked at: this machine's own, or a copy of another one's below a folder."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import msgspec

from buildtool.errors import InvalidInputError
from buildtool.probe.machine import System

LINKS = 40
_VARIABLE = re.compile(r"\{(\w+)\}")


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A machine's files, named as that machine names them.

    Attributes:
        system: whose rules for paths hold.
        environ: the user's environment there, as far as it is known.
        root: the folder that holds the copy; None for this machine itself. Drives of Windows are folders in it: ``C``.
    """

    system: System
    environ: Mapping[str, str] = {}
    root: Path | None = None

    @property
    def here(self) -> bool:
        """Whether it is this machine, whose programs can be run and whose services can be asked."""
        return self.root is None

    @property
    def program(self) -> str:
        """The name of Ollama's program."""
        return "ollama.exe" if self.system == "windows" else "ollama"

    def is_below(self, name: str, folder: str) -> bool:
        """Whether a path lies below a folder, by its name."""
        return self.pure(name).is_relative_to(self.pure(folder))

    def pure(self, name: str) -> PurePath:
        """Read a path the way the machine writes it."""
        return PureWindowsPath(name) if self.system == "windows" else PurePosixPath(name)

    def path(self, name: str) -> Path:
        """Return where a file of the machine really is."""
        if self.root is None:
            return Path(name)
        pure = self.pure(name)
        return self.root.joinpath(pure.drive.rstrip(":"), *pure.parts[1 if pure.anchor else 0 :])

    def real(self, name: str) -> str:
        """Resolve the links on a path, inside the copy if it is one."""
        if self.root is None:
            return os.path.realpath(name)
        done, todo, links = self.pure("/"), list(self.pure(name).parts[1:]), 0
        if self.system == "windows":
            return name
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = done.parent
                continue
            place = self.path(str(done / part))
            if place.is_symlink() and links < LINKS:
                links += 1
                text = PurePosixPath(place.readlink().as_posix())
                done = self.pure("/") if text.is_absolute() else done
                todo = [*(one for one in text.parts if one != "/"), *todo]
            else:
                done /= part
        return str(done)

    def join(self, folder: str, *names: str) -> str:
        """Join parts of a path and take ``..`` out of it, without looking at links."""
        parts: list[str] = []
        pure = self.pure(folder).joinpath(*names)
        for part in pure.parts[1:] if pure.anchor else pure.parts:
            if part == ".." and parts:
                parts.pop()
            elif part not in {".", ".."}:
                parts.append(part)
        return str(type(pure)(pure.anchor, *parts))

    def matches(self, pattern: str) -> Iterator[str]:
        """Yield the paths that a pattern stands for: variables in braces, ``*`` for any one name; those that exist."""
        words = self._filled(pattern)
        if words is None:
            return
        place = self.path(words)
        base = self.root if self.root is not None else Path(place.anchor)
        for found in sorted(base.glob(place.relative_to(base).as_posix())):
            yield self._name(found)

    def _filled(self, pattern: str) -> str | None:
        names = _VARIABLE.findall(pattern)
        if any(not self.environ.get(name) for name in names):
            return None
        return _VARIABLE.sub(lambda found: glob.escape(self.environ[found[1]]), pattern)

    def _name(self, path: Path) -> str:
        """Return the machine's own name of a path below `root`."""
        if self.root is None:
            return str(path)
        parts = path.relative_to(self.root).parts
        return str(PureWindowsPath(f"{parts[0]}:\\", *parts[1:])) if self.system == "windows" else "/" + "/".join(parts)

    def text(self, name: str, limit: int = 1 << 20) -> str | None:
        """Return the beginning of a text file, None when it cannot be read."""
        try:
            with self.path(name).open("rb") as stream:
                return stream.read(limit).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder; none where there is none."""
        try:
            return tuple(sorted(one.name for one in self.path(folder).iterdir()))
        except OSError:
            return ()


def this_machine() -> Site:
    """Return the machine that gpubuild runs on."""
    systems: dict[str, System] = {"win32": "windows", "darwin": "macos"}
    return Site(system=systems.get(sys.platform, "linux"), environ=dict(os.environ))


def copied(root: Path, environ: Mapping[str, str] | None = None) -> Site:
    """Return the machine whose files were copied below `root`; what system it ran is told by its folders.

    Raises:
        InvalidInputError: there is no such folder.
    """
    if not root.is_dir():
        what = f"{root} is no folder."
        raise InvalidInputError(what, hint="Name the folder that holds the other machine's / (or C).")
    place = root.absolute()
    if any(one.is_dir() and len(one.name) == 1 for one in place.iterdir()):
        system: System = "windows"
    else:
        system = "macos" if (place / "Applications").is_dir() else "linux"
    return Site(system=system, environ=environ or {}, root=place)
