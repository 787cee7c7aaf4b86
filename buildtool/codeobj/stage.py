"""A copy of a file or a tree, whole or with some targets' device code only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj import output, tree
from buildtool.codeobj.containers import members
from buildtool.codeobj.fileplan import FilePlan, packed, planned
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.reader import natural
from buildtool.codeobj.scan import HEAD
from buildtool.codeobj.view import DamagedError, open_view
from buildtool.errors import InvalidInputError
from buildtool.store.progress import Progress
from buildtool.store.storage import require_space

Rename = Callable[[str], str]
LinkText = Callable[[str, str], str]


class Packing:
    """Asks for every piece of AMD device code, compressed."""


class Staged(NamedTuple):
    """A copy, made.

    Attributes:
        files: each new file with its old relative name.
        folders: (old, new) relative names.
        dropped: what was left out.
        notes: what is special about files, for people.
        targets: everything the source holds device code for.
        kept: images that stay.
    """

    files: list[tuple[Path, str]]
    folders: list[tuple[str, str]]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    targets: tuple[str, ...]
    kept: int


def stage(
    source: Path,
    entries: list[tree.Entry],
    place: Path,
    keep: Keep | Packing | None,
    progress: Progress,
    rename: Rename,
    link_text: LinkText | None = None,
) -> Staged:
    """Copy a file or a tree to `place`, which does not exist yet.

    Args:
        source: what is copied.
        entries: what it holds.
        place: where it goes.
        keep: which device code to keep; `Packing` to keep and compress all of it; None for all of it as it is.
        progress: receives how far it is.
        rename: gives each relative name its new one.
        link_text: gives a link, by its new name and its text, its new text; None for `rename` of the text.

    Raises:
        InvalidInputError: the one file is an archive.
        DamagedError: a file contradicts itself.
        StorageError: there is not enough space.
    """
    plans, total = _plans(source, [entry for entry in entries if entry.kind == "file"], keep)
    require_space(place, total, "the result")
    if not any(entry.name == "" for entry in entries):
        place.mkdir()
    folders = [(entry.name, rename(entry.name)) for entry in entries if entry.kind == "folder"]
    for _, new in folders:
        (place / new).mkdir(parents=True, exist_ok=True)
    progress.start("Copying", total)
    files, done = [], {}
    for name, plan in plans:
        if plan.output is not None:
            path = place / rename(name) if name else place
            output.write(plan.output, source / name if name else source, path, progress.advance)
            files.append((path, name))
        done[name] = plan._replace(output=None)  # its fresh bytes are on the disk now
    progress.done()
    dropped = done.keys() - {name for _, name in files}
    dropped |= _links(entries, dropped, place, rename, link_text)
    notes = tuple(f"{name or source.name}: {plan.note}" for name, plan in done.items() if plan.note)
    targets = natural({target for plan in done.values() for target in plan.found})
    return Staged(files, folders, tuple(sorted(dropped)), notes, targets, sum(plan.kept for plan in done.values()))


def _plans(
    source: Path, entries: list[tree.Entry], keep: Keep | Packing | None
) -> tuple[Iterable[tuple[str, FilePlan]], int]:
    """Return what becomes of each file, by name, and how many bytes all of it takes at most.

    What is compressed lies in memory until it is written: of one file at a time, since no file grows by it. Everything
    else is mostly ranges of the old files, and is known before the first is written.
    """
    found = ((entry.name, _planned(source, entry, keep)) for entry in entries)
    if isinstance(keep, Packing):
        return found, sum(entry.size for entry in entries)
    rows = list(found)
    return rows, sum(copy.size for _, plan in rows if plan.output is not None for copy in plan.output.copies)


def _links(
    entries: Iterable[tree.Entry], dropped: set[str], place: Path, rename: Rename, link_text: LinkText | None
) -> set[str]:
    """Make the links, last of all, so that nothing is ever written through one; those to dropped files go too."""
    gone = set()
    for entry in entries:
        if entry.kind == "link":
            if tree.reached(entry) in dropped:
                gone.add(entry.name)
                continue
            new = rename(entry.name)
            text = link_text(new, entry.text) if link_text is not None else rename(entry.text)
            (place / new).symlink_to(text)
    return gone


def _planned(source: Path, entry: tree.Entry, keep: Keep | Packing | None) -> FilePlan:
    path = source / entry.name if entry.name else source
    if not entry.size:
        return FilePlan(output.whole(0), frozenset(), 0)
    with open_view(path) as view:
        if members(view.peek(0, HEAD), view, entry.name or source.name) is not None:
            return _archive(path, entry)
        try:
            if isinstance(keep, Packing):
                return packed(view, entry.name or source.name)
            return planned(view, entry.name or source.name, keep, single=not entry.name)
        except DamagedError as error:
            what = f"{path}: {error.what}"
            raise DamagedError(what, why=error.why) from error


def _archive(path: Path, entry: tree.Entry) -> FilePlan:
    """Keep an archive of a tree as it is, and say so; alone it cannot be changed."""
    if not entry.name:
        what = f"{path} is an archive (or a wheel, a package, a static library); what is in it is not rewritten."
        raise InvalidInputError(what, hint="Unpack it, and name the folder or the library.")
    return FilePlan(output.whole(entry.size), frozenset(), 0, "an archive is kept whole")
