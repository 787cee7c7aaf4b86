"""The closed set of what a module loads: by its DT_NEEDED entries, and by what its libraries open themselves."""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildtool.errors import BuildError
from buildtool.runtime.facts import Opens, opened_by, outside
from buildtool.runtime.model import LeftOut


class Found(NamedTuple):
    """A library: the name it is loaded by, its file (perhaps a link), and what needs or opens it."""

    soname: str
    path: Path
    needed_by: str


class Folder(NamedTuple):
    """A folder of data: its name beside the library, where it lies, the library's soname, the row that says so."""

    name: str
    path: Path
    opened_by: str
    row: Opens


class Closure(NamedTuple):
    """Libraries and folders that travel, and libraries that do not."""

    libraries: tuple[Found, ...]
    folders: tuple[Folder, ...]
    left_out: tuple[LeftOut, ...]


class Wanted(NamedTuple):
    """A name that something asks for; `row` when it opens it itself."""

    soname: str
    by: str
    row: Opens | None = None


def closure(module: Path, own: Path, folders: Iterable[Path]) -> Closure:
    """Follow a backend module through everything it loads.

    Args:
        module: the built module.
        own: the build's own libraries, which the runtime wheel brings.
        folders: where the vendor's libraries lie, in this order.

    Raises:
        BuildError: a library is neither the machine's, nor the build's, nor the vendor's.
    """
    folders = tuple(folders)
    pending = deque(Wanted(name, module.name) for name in needed(module))
    found: dict[str, Found] = {}
    left: dict[str, LeftOut] = {}
    data: dict[Path, Folder] = {}
    while pending:
        wanted = pending.popleft()
        if wanted.soname in found or wanted.soname in left or (own / wanted.soname).exists():
            continue
        why = outside(wanted.soname)
        if why is not None or (wanted.row is not None and not wanted.row.travels):
            reason = why.reason if why is not None else wanted.row.reason if wanted.row is not None else ""
            left[wanted.soname] = LeftOut(soname=wanted.soname, needed_by=wanted.by, reason=reason)
            continue
        path = next((folder / wanted.soname for folder in folders if (folder / wanted.soname).is_file()), None)
        if path is None:
            raise _missing(wanted, folders)
        found[wanted.soname] = Found(wanted.soname, path, wanted.by)
        pending.extend(Wanted(name, wanted.soname) for name in needed(path))
        pending.extend(_opens(wanted.soname, path))
        data |= {folder.path: folder for folder in folders_of(wanted.soname, path)}
    return Closure(
        tuple(found[name] for name in sorted(found)), tuple(data.values()), tuple(left[name] for name in sorted(left))
    )


def needed(binary: Path) -> list[str]:
    """Return the names of the libraries that an ELF file loads at start (its DT_NEEDED entries)."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with binary.open("rb") as handle:
        for section in ELFFile(handle).iter_sections(type="SHT_DYNAMIC"):
            if isinstance(section, DynamicSection):
                return [str(tag.needed) for tag in section.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]  # set by name
    return []


def _opens(soname: str, path: Path) -> Iterator[Wanted]:
    """Yield what a library opens by name; only names that stand in the file count."""
    for row in opened_by(soname):
        for name in row.libraries:
            if _mentions(path, name):
                yield Wanted(name, soname, row)


def _mentions(path: Path, name: str) -> bool:
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(name.encode() + b"\0") >= 0


def folders_of(soname: str, path: Path) -> Iterator[Folder]:
    """Yield the folders beside a library that it reads."""
    for row in opened_by(soname):
        if row.folder and (place := path.resolve().parent / row.folder).is_dir():
            yield Folder(row.folder, place, soname, row)


def _missing(wanted: Wanted, folders: tuple[Path, ...]) -> BuildError:
    verb = "opens" if wanted.row is not None else "needs"
    what = f"{wanted.by} {verb} {wanted.soname}, which cannot travel along: it is not in the toolkit."
    why = f"Looked in {', '.join(map(str, folders)) or 'no folder'}."
    return BuildError(what, why=why, hint="Install the package that has it, or use --runtime system.")
