"""What a retargeting changed: every byte range, every name; enough to verify it and to undo it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec

from buildtool.codeobj.output import MAX_SIZE
from buildtool.codeobj.tree import leads_out
from buildtool.codeobj.view import DamagedError
from buildtool.errors import IntegrityError, InvalidInputError, StorageError
from buildtool.store.digest import sha256_of

SCHEMA = 1
NAME = "gpubuild-retarget.json"  # in the root of a tree; a single file's lies beside it
Place = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]  # in a file


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One range: where it starts, what stood there, what stands there now (base64 in JSON).

    Both are of one length, but for a compressed bundle at the end of a bare file.
    """

    offset: Place
    before: bytes
    after: bytes
    what: str


class FileChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that was changed, or only renamed.

    Attributes:
        path: its name in the result, relative to its root, with ``/``; "" where the result is a single file.
        was: its name before.
        bytes: its size, if that is still what it was; else the size after.
        was_bytes: its size before; a compressed bare bundle may change it.
        sha256: of the result.
        was_sha256: of what it was made from (after thinning, where that was asked for as well).
        changes: in order of their offsets.
    """

    path: str
    was: str
    bytes: Place
    was_bytes: Place
    sha256: str
    was_sha256: str
    changes: tuple[Change, ...] = ()


class Rename(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder, or a symbolic link with its text, that has another name now."""

    path: str
    was: str
    text: str = ""
    was_text: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one run changed."""

    schema: int = SCHEMA
    source_target: str
    target: str
    thinned: bool
    files: tuple[FileChange, ...]
    renamed: tuple[Rename, ...] = ()
    dropped: tuple[str, ...] = ()


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest; the same manifest gives the same bytes.

    Raises:
        InvalidInputError: a name in it is no UTF-8.
    """
    try:
        text = msgspec.json.encode(manifest)
    except UnicodeEncodeError as error:
        what = f"The manifest cannot hold a file's name that is no UTF-8: {error.object!r}."
        raise InvalidInputError(what, hint="Rename the file, then try again.") from error
    path.write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def load(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        InvalidInputError: it is none, of another schema, or names files outside of its tree.
        StorageError: it cannot be read.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        what = f"{path} cannot be read."
        raise StorageError(what, why=error.strerror or str(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = f"{path} is no manifest of gpubuild retarget."
        raise InvalidInputError(what, why=str(error)) from error
    if found.schema != SCHEMA:
        what = f"{path} has the schema {found.schema}; this gpubuild reads {SCHEMA}."
        raise InvalidInputError(what)
    rows: list[FileChange | Rename] = [*found.files, *found.renamed]
    for name in [name for row in rows for name in (row.path, row.was)]:
        if name and not inside(name):
            what = f"{path} names {name!r}, which does not lie inside its tree."
            raise InvalidInputError(what)
    for row in found.renamed:
        for name, text in ((row.path, row.text), (row.was, row.was_text)):
            if leads_out(name, text):
                what = f"{path} has a link {name!r} out of its tree, to {text!r}."
                raise InvalidInputError(what)
    return found


def inside(name: str) -> bool:
    """Tell whether a relative name stays inside its tree."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name


def apply(path: Path, changes: tuple[Change, ...], size: int) -> None:
    """Write the new bytes of every change into a file of our own, and give it its new size.

    Raises:
        IntegrityError: what stands there is not what the change says.
    """
    with path.open("r+b") as stream:
        for change in changes:
            stream.seek(change.offset)
            if stream.read(len(change.before)) != change.before:
                what = f"{path.name} does not hold at {change.offset:#x} what the manifest says ({change.what})."
                raise IntegrityError(what)
            stream.seek(change.offset)
            stream.write(change.after)
        stream.truncate(size)


def undo(path: Path, row: FileChange) -> None:
    """Give a file of our own its old bytes back.

    Raises:
        IntegrityError: it is not the file that the manifest describes, or does not become the old one.
    """
    check(path, row)
    back = tuple(msgspec.structs.replace(one, before=one.after, after=one.before) for one in row.changes)
    apply(path, back, row.was_bytes)
    if sha256_of(path) != row.was_sha256:
        what = f"{row.path or path.name} does not become what it was."
        raise IntegrityError(what, why="The manifest is damaged, or of another file.")


def check(path: Path, row: FileChange) -> None:
    """Refuse a file that is not the one a manifest describes.

    Raises:
        IntegrityError: its bytes are others.
    """
    if not path.is_file() or path.is_symlink():
        what = f"{path} is not there."
        raise IntegrityError(what, why="The manifest lists it.")
    if sha256_of(path) != row.sha256:
        what = f"{path} is not the file that the manifest describes."
        raise IntegrityError(what, why=f"Its SHA-256 is not {row.sha256}.")


def difference(before: bytes, after: bytes, offset: int, what: str) -> Change:
    """Return the change from `before` to `after`, both at `offset` and of one length, without their common ends.

    Raises:
        DamagedError: the lengths differ.
    """
    if len(before) != len(after):
        problem = f"{len(after)} bytes cannot take the place of {len(before)}."
        raise DamagedError(problem)
    start = next((n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new), len(before))
    end = len(before)
    while end > start and before[end - 1] == after[end - 1]:
        end -= 1
    return Change(offset + start, before[start:end], after[start:end], what)
