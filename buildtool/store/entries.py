"""Content-addressed entries: made once, in a temporary folder, then renamed into place and shared.

Layout below the store's root::

    <kind>/<key>/tree/        the content, read-only when its maker asked for that
    <kind>/<key>/entry.json   the marker: what it is, where it came from, how big it is
    locks/<kind>-<key>.lock   held while the entry is made or removed
    tmp/<kind>-<key>.*        half-made entries; those of killed runs are swept away by the next run

An entry exists exactly when its folder does, because the folder appears by one rename.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec

from buildtool.errors import GpubuildError, IntegrityError, StorageError, UnknownNameError
from buildtool.store.paths import store_root
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import delete_tree, make_read_only, storage_errors, tree_size

MARKER = "entry.json"
TREE = "tree"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One finished entry.

    Attributes:
        kind: which room made it (``src``, ``cuda``).
        key: its name within the kind; says what is inside and holds a digest of what it was made from.
        origin: where it came from, for people.
        facts: whatever its maker wants to know again (a tree's digest, a toolkit's version).
        bytes: size of the content.
        files: number of files in it.
        created: UTC time, ISO 8601.
        path: the content's folder; not part of the marker.
    """

    kind: str
    key: str
    origin: str = ""
    facts: dict[str, str] = {}
    bytes: int = 0
    files: int = 0
    created: str = ""
    path: Path = Path()


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What a maker says about the entry it filled: see `Entry`."""

    origin: str
    facts: dict[str, str] = {}


class Store:
    """The entries below one root folder."""

    def __init__(self, root: Path | None = None) -> None:
        """Use `root`, or the user's own store."""
        self.root = root or store_root()

    def find(self, kind: str, key: str) -> Entry | None:
        """Return a finished entry, None when there is none.

        Raises:
            IntegrityError: the entry's folder was damaged from outside.
        """
        folder = self._folder(kind, key)
        if not folder.exists():
            return None
        what = f"The store entry {folder} is damaged."
        hint = f"Delete it: rm -r {folder}"
        try:
            entry = msgspec.json.decode((folder / MARKER).read_bytes(), type=Entry)
        except (OSError, ValueError) as error:
            raise IntegrityError(what, why=str(error), hint=hint) from error
        if not (folder / TREE).is_dir():
            raise IntegrityError(what, why="its content is gone", hint=hint)
        return msgspec.structs.replace(entry, path=folder / TREE)

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """Return all finished entries of `kind`, by key; damaged ones are left out."""
        found: list[Entry] = []
        for folder in sorted((self.root / kind).glob("*")):
            try:
                entry = self.find(kind, folder.name)
            except GpubuildError:
                continue
            if entry is not None:
                found.append(entry)
        return tuple(found)

    def ensure(
        self,
        kind: str,
        key: str,
        fill: Callable[[Path], Filled],
        *,
        read_only: bool = False,
        progress: Progress | None = None,
    ) -> Entry:
        """Return the entry, making it first when it does not exist; of two runs, one makes and one waits.

        Args:
            kind: the room's name for its entries.
            key: the entry's name.
            fill: given the final path of the content's temporary stand-in, an empty folder, puts the content there.
            read_only: take write permission from the content.
            progress: told when another run is being waited for.

        Raises:
            StorageError: the store cannot be written or is full.
            GpubuildError: whatever `fill` raises; nothing is left behind then.
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        with storage_errors(self.root, f"{kind} {key}"), self.locked(kind, key, progress=progress):
            found = self.find(kind, key)
            if found is not None:
                return found
            self._sweep(held=f"{kind}-{key}")
            with self._half_made(kind, key) as draft:
                content = draft / TREE
                content.mkdir()
                filled = fill(content)
                size, files = tree_size(content)
                if read_only:
                    make_read_only(content)
                entry = Entry(
                    kind=kind,
                    key=key,
                    origin=filled.origin,
                    facts=filled.facts,
                    bytes=size,
                    files=files,
                    created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                )
                _write_marker(draft / MARKER, entry)
                self._publish(draft, self._folder(kind, key))
            return msgspec.structs.replace(entry, path=self._folder(kind, key) / TREE)

    def remove(self, kind: str, key: str) -> Entry:
        """Delete an entry and return what it was.

        Raises:
            UnknownNameError: there is no such entry.
            StorageError: another run is making or removing it, or it cannot be deleted.
        """
        entry = self.find(kind, key)
        if entry is None:
            what = f"The store has no {kind} entry {key!r}."
            raise UnknownNameError(what)
        with storage_errors(self.root, f"{kind} {key}"), self.locked(kind, key, wait=False):
            if self.find(kind, key) is None:
                return entry  # another run removed it just now
            user = _running_inside(entry.path)
            if user is not None:
                what = f"{kind} {key} is in use by a running program."
                raise StorageError(what, why=user, hint="Try again when it has finished.")
            doomed = Path(tempfile.mkdtemp(prefix=f"{kind}-{key}.", dir=self._ready("tmp")))
            self._folder(kind, key).rename(doomed / "gone")
            delete_tree(doomed)
        return entry

    @contextmanager
    def locked(self, kind: str, key: str, *, wait: bool = True, progress: Progress | None = None) -> Iterator[None]:
        """Hold the lock of an entry (which need not exist).

        Raises:
            StorageError: with `wait` off, another run holds it.
        """
        lock = filelock.FileLock(self._ready("locks") / f"{kind}-{key}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            if not wait:
                what = f"{kind} {key} is in use by another gpubuild run."
                raise StorageError(what, hint="Try again when it has finished.") from error
            (progress or Silent()).note(f"waiting for another gpubuild run that prepares {kind} {key}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _folder(self, kind: str, key: str) -> Path:
        if not _NAME.fullmatch(kind) or not _NAME.fullmatch(key):
            what = f"{kind}/{key} is not a name for a store entry."
            raise UnknownNameError(what)
        return self.root / kind / key

    def _ready(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _half_made(self, kind: str, key: str) -> Iterator[Path]:
        draft = Path(tempfile.mkdtemp(prefix=f"{kind}-{key}.", dir=self._ready("tmp")))
        try:
            yield draft
        finally:
            delete_tree(draft)

    def _publish(self, draft: Path, folder: Path) -> None:
        draft.chmod(0o755)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(folder)
        _sync_folder(folder.parent)

    def _sweep(self, held: str) -> None:
        """Delete what killed runs left in ``tmp/``: drafts of the lock held here, or of one nobody holds."""
        for draft in self._ready("tmp").iterdir():
            name = draft.name.rpartition(".")[0]
            if name == held:
                delete_tree(draft)
                continue
            try:
                with filelock.FileLock(self._ready("locks") / f"{name}.lock").acquire(timeout=0):
                    delete_tree(draft)
            except (filelock.Timeout, OSError):
                continue


def _running_inside(tree: Path) -> str | None:
    """Return a description of a process whose program lies in `tree`; None when there is none, or nothing tells."""
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            program = link.readlink()
        except OSError:
            continue
        if program.is_relative_to(tree):
            return f"Process {link.parent.name} runs {program}."
    return None


def _write_marker(path: Path, entry: Entry) -> None:
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "path"}
    with path.open("wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(fields), indent=2))
        out.flush()
        os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
