"""The closed set of what a module loads: by its DT_NEEDED entries, and by what its libraries open themselves."""

from __future__ import annotations

import mmap
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj import elf
from buildtool.codeobj.view import DamagedError, View, open_view, read
from buildtool.errors import BuildError
from buildtool.runtime.facts import Opens, drops, opened_by, outside, spares
from buildtool.runtime.model import LeftOut
from buildtool.runtime.spare import DT_NEEDED, SHT_DYNAMIC, can_spare, takes

DT_NULL = 0


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


class Spared(NamedTuple):
    """A library that another one is made to do without: its name, its file, whose need it was, and why."""

    soname: str
    path: Path
    needed_by: str
    reason: str


class Closure(NamedTuple):
    """Libraries and folders that travel, and libraries that do not; `spared` are among the latter."""

    libraries: tuple[Found, ...]
    folders: tuple[Folder, ...]
    left_out: tuple[LeftOut, ...]
    spared: tuple[Spared, ...] = ()
    hollow: frozenset[str] = frozenset()  # whose precompiled headers nobody here asks for


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
    spared: dict[tuple[str, str], Spared] = {}
    while pending:
        wanted = pending.popleft()
        if wanted.soname in found or wanted.soname in left or (own / wanted.soname).exists():
            continue
        why = outside(wanted.soname)
        if why is not None or (wanted.row is not None and not wanted.row.travels):
            reason = why.reason if why is not None else wanted.row.reason if wanted.row is not None else ""
            left[wanted.soname] = LeftOut(soname=wanted.soname, needed_by=wanted.by, reason=reason)
            continue
        path = _place(wanted.soname, folders)
        if path is None:
            raise _missing(wanted, folders)
        found[wanted.soname] = Found(wanted.soname, path, wanted.by)
        needs = needed(path)
        without = _spared(wanted.soname, path, needs, folders)
        spared |= {(one.needed_by, one.soname): one for one in without}
        pending.extend(Wanted(name, wanted.soname) for name in needs if name not in {one.soname for one in without})
        pending.extend(_opens(wanted.soname, path))
        data |= {folder.path: folder for folder in folders_of(wanted.soname, path)}
    gone = tuple(one for one in spared.values() if one.soname not in found)  # what travels for another can be used
    left |= {one.soname: LeftOut(soname=one.soname, needed_by=one.needed_by, reason=one.reason) for one in gone}
    return Closure(
        tuple(found[name] for name in sorted(found)),
        tuple(data.values()),
        tuple(left[name] for name in sorted(left)),
        gone,
        _hollow(found, module),
    )


def _hollow(found: dict[str, Found], module: Path) -> frozenset[str]:
    """Return the libraries whose precompiled headers nothing else in the bundle takes."""
    rows = {soname: row for soname in found if (row := drops(soname)) is not None}
    taken = {
        soname: frozenset().union(*(takes(one.path) for one in found.values() if one.soname != soname), takes(module))
        for soname in rows
    }
    return frozenset(soname for soname, row in rows.items() if taken[soname].isdisjoint(row.through))


def _place(soname: str, folders: Iterable[Path]) -> Path | None:
    return next((folder / soname for folder in folders if (folder / soname).is_file()), None)


def _spared(soname: str, library: Path, needs: Iterable[str], folders: tuple[Path, ...]) -> list[Spared]:
    """Return what a library can be made to do without: a row says so, and its file allows it."""
    found = []
    for name in needs:
        row, path = spares(soname, name), _place(name, folders)
        if row is not None and path is not None and can_spare(library, name, path, row.symbols):
            found.append(Spared(name, path, soname, row.reason))
    return found


def needed(binary: Path) -> list[str]:
    """Return the names of the libraries that an ELF file loads at start (its DT_NEEDED entries).

    Raises:
        BuildError: it is no ELF file, or a damaged one.
    """
    try:
        with open_view(binary) as view:
            return list(_needs(view))
    except DamagedError as error:
        what = f"{binary} is no library that can be bundled."
        raise BuildError(what, why=f"It is no ELF file, or a damaged one: {error}") from error


def _needs(view: View) -> Iterator[str]:
    header = elf.parse_header(view.peek(0, 64))
    table = elf.sections(view, header)
    entry = struct.Struct(header.order + ("qQ" if header.bits == 64 else "iI"))  # noqa: PLR2004
    for section in table:
        if section.type != SHT_DYNAMIC:
            continue
        names = read(view, table[section.link].offset, table[section.link].size) if section.link < len(table) else b""
        for tag, value in entry.iter_unpack(read(view, section.offset, section.size // entry.size * entry.size)):
            if tag == DT_NULL:
                break
            if tag == DT_NEEDED:
                yield elf.text_at(names, value, elf.MAX_SYMBOL_NAME)


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
