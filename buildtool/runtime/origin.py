"""Where the vendor's libraries lie, and which package and licence each comes with.

Three kinds of places: a root filesystem or a Debian system (dpkg's records tell), the vendor's wheels (their RECORD
tells), any other installation (the licence text in its root stands for all of it).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from buildtool.errors import BuildError
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.rootfs.record import INFO, licence, owners
from buildtool.toolchain.sandbox import Sandbox

LIBRARY_FOLDERS = ("lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib", "targets/x86_64-linux/lib")
SYSTEM_ROOTS = ("usr",)
LICENCES = ("EULA.txt", "LICENSE", "LICENSE.txt", "share/doc/rocm/LICENSE", "share/doc/rocblas/LICENSE.md")
COMMON = "usr/share/common-licenses"


class Provenance(NamedTuple):
    """The package of a file, its version, and its licence texts, the first being the package's own."""

    package: str
    version: str
    licences: tuple[Path, ...]


class Origin(Protocol):
    """A place that libraries are taken from."""

    folders: tuple[Path, ...]

    def provenance(self, paths: Iterable[Path]) -> dict[Path, Provenance]:
        """Return what is known of each file."""
        ...


def origin_of(toolchain: Toolchain) -> Origin:
    """Return the place that a toolchain's libraries come from.

    Raises:
        BuildError: it has no place here (the host's own compiler, a container image).
    """
    if isinstance(toolchain.sandbox, Sandbox):
        return DebianOrigin(Path(toolchain.sandbox.tree))
    if toolchain.root is None or toolchain.sandbox is not None:
        what = "A toolchain without a toolkit on this machine has no libraries to bundle."
        raise BuildError(what)
    root = Path(toolchain.root)
    own = _folders(root)
    if toolchain.provider == "pypi":
        return WheelOrigin(root, own)
    return InstalledOrigin(root, own)


def _folders(root: Path) -> tuple[Path, ...]:
    return tuple(folder for name in LIBRARY_FOLDERS if (folder := root / name).is_dir())


class DebianOrigin:
    """A Debian system: a root filesystem of the store, or the machine itself."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.folders = tuple(folder for name in SYSTEM_ROOTS for folder in _folders(tree / name))

    def provenance(self, paths: Iterable[Path]) -> dict[Path, Provenance]:
        """Return the package of each file, by dpkg's records, with the texts its copyright file refers to."""
        found = {}
        for path, package in owners(self.tree, paths).items():
            text = licence(self.tree, package)
            texts = (text, *self._common(text)) if text is not None else ()
            found[path] = Provenance(package.name, package.version, texts)
        return found

    def _common(self, text: Path) -> Iterable[Path]:
        """Yield the whole texts that a Debian copyright file names instead of repeating them."""
        words = text.read_text("utf-8", errors="replace")
        for path in sorted((self.tree / COMMON).glob("*")):
            named = f"/{COMMON}/{path.name}"
            at = words.find(named)
            if at >= 0 and not words[at + len(named) : at + len(named) + 1].isalnum() and path.is_file():
                yield path


class WheelOrigin:
    """A toolkit that was put together from the vendor's wheels."""

    def __init__(self, root: Path, folders: tuple[Path, ...]) -> None:
        self.root, self.folders = root, folders

    def provenance(self, paths: Iterable[Path]) -> dict[Path, Provenance]:
        """Return the wheel of each file, by the wheels' own lists; else the toolkit's own licence text counts."""
        paths = list(paths)
        content = self.root.parent.parent
        wanted = {path.resolve().relative_to(content.resolve()).as_posix(): path for path in paths}
        found = {}
        for record in sorted(content.glob("*.dist-info/RECORD")):
            name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
            texts = tuple(sorted(path for path in record.parent.glob("licenses/**/*") if path.is_file()))
            texts = texts or tuple(sorted(record.parent.glob("L*CEN*E*")))
            with record.open(encoding="utf-8", newline="") as lines:
                for row in csv.reader(lines):
                    if row and row[0] in wanted:
                        found[wanted[row[0]]] = Provenance(name.replace("_", "-"), version, texts)
        return _whole(self.root, paths) | found


class InstalledOrigin:
    """A toolkit that somebody installed: packages of a distribution, or the vendor's own folder."""

    def __init__(self, root: Path, folders: tuple[Path, ...]) -> None:
        self.root = root
        self.system = DebianOrigin(Path("/"))
        self.folders = (*folders, *(folder for folder in self.system.folders if folder not in folders))

    def provenance(self, paths: Iterable[Path]) -> dict[Path, Provenance]:
        """Return the package of each file as far as dpkg knows it; else the toolkit's own licence text counts."""
        paths = list(paths)
        found = self.system.provenance(paths) if Path("/", INFO).is_dir() else {}
        return _whole(self.root, paths) | found


def _whole(root: Path, paths: list[Path]) -> dict[Path, Provenance]:
    """Return the licence text in a toolkit's root as that of everything below it."""
    texts = tuple(root / name for name in LICENCES if (root / name).is_file())
    below = [path for path in paths if path.resolve().is_relative_to(root.resolve())]
    return {path: Provenance("", "", texts) for path in below}
