"""A change to an installation that is done wholly or not at all, whatever happens in between.

1. The journal says *staging*; everything new is copied beside its place and synced. Nothing has changed so far.
2. Step by step: the old thing is moved aside, the new one into its place. Each is one rename.
3. The caller proves the new state. Then the journal says *decided*: until then recovery takes back, after it finishes.
4. The record is written, then what was moved aside is deleted, and the journal last of all.

`recover` looks at what is where, not at how far a program came, so it may be interrupted and repeated at will.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import filelock
import msgspec

from buildtool.deploy.disk import ABSENT, Disk, digest, entries
from buildtool.deploy.journal import FOLDER, MARK, Item, Journal, Purpose, Record, State, Step
from buildtool.errors import InvalidInputError, StorageError


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What shall stand at a place: a copy of a file or tree; None for nothing."""

    target: Path
    content: Path | None


class Transactions:
    """The transactions of one installation."""

    def __init__(self, libraries: Path, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.state = State(libraries, self.disk)

    def locked(self) -> filelock.FileLock:
        """Return the lock that a writer holds; it vanishes with its process.

        Raises:
            StorageError: another gpubuild changes this installation right now.
        """
        if not self.state.folder.is_dir():
            changed = self.state.folder.parent.stat().st_mtime_ns
            self.disk.make(self.state.folder)
            self.disk.touch(self.state.folder.parent, changed)
        lock = filelock.FileLock(self.state.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            what = "Another gpubuild is changing this Ollama."
            raise StorageError(what, hint="Try again when it has finished.") from error
        return lock

    def prepare(self, purpose: Purpose, changes: Iterable[Change], after: Record | None) -> Journal:
        """Copy everything new beside its place, and write the journal.

        Raises:
            OSError: the disk is full, or a place cannot be written; nothing has changed then.
            InvalidInputError: something is in the way that gpubuild did not put there.
        """
        name = secrets.token_hex(4)
        before = self.state.record()
        ours = {one.target: one for one in before.items} if before is not None else {}
        changes = tuple(changes)
        steps = tuple(self._step(change, name, number, ours) for number, change in enumerate(changes))
        yards = dict.fromkeys(str(Path(step.staged).parent) for step in steps)
        folders = tuple(yard for yard in yards if Path(yard).name == f"tx-{name}")
        journal = Journal(id=name, purpose=purpose, staging=True, steps=steps, after=after, folders=folders)
        self.state.save_journal(journal)
        staged = []
        for change, step in zip(changes, steps, strict=True):
            self.disk.make(Path(step.staged).parent)
            new = self._staged(change, Path(step.staged), ours.get(step.target))
            staged.append(msgspec.structs.replace(step, new=new))
        journal = msgspec.structs.replace(journal, staging=False, steps=tuple(staged))
        self.state.save_journal(journal)
        return journal

    def _step(self, change: Change, name: str, number: int, ours: Mapping[str, Item]) -> Step:
        old = digest(change.target)
        if old != ABSENT and str(change.target) not in ours:
            what = f"{change.target} is there already, and gpubuild did not put it there."
            raise InvalidInputError(what, hint="Move it away, then try again.")
        yard = self._yard(change.target, name)
        stem = str(number) if yard != change.target.parent else f".{change.target.name}{MARK}{name}"
        staged, backup = str(yard / f"{stem}.new"), str(yard / f"{stem}.old")
        return Step(target=str(change.target), old=old, new=ABSENT, staged=staged, backup=backup)

    def _yard(self, target: Path, name: str) -> Path:
        """Return a folder on the target's file system in which nobody looks for what waits there.

        Ollama's pattern lib/ollama/*/*ggml-* finds hidden folders too, so modules wait deeper, or elsewhere.
        """
        if target.parent != self.state.libraries:
            return target.parent
        beside = self.state.folder
        same = beside.stat().st_dev == target.parent.stat().st_dev
        return (beside if same else target.parent / FOLDER) / f"tx-{name}"

    def _staged(self, change: Change, staged: Path, ours: Item | None) -> str:
        """Copy the new thing, with what others put into the old one, and return its digest."""
        if change.content is not None:
            self.disk.copy(change.content, staged)
        for name in foreign(change.target, ours) if ours is not None else ():
            place = staged / name
            if place.exists() or place.is_symlink():
                what = f"{change.target / name} is not what gpubuild put there, and would be overwritten."
                raise InvalidInputError(what, hint="Move it away, then try again.")
            self._keep(change.target, name, staged)
        return digest(staged)

    def _keep(self, target: Path, name: str, staged: Path) -> None:
        """Copy a foreign file together with the folders above it."""
        for folder in reversed(Path(name).parents):
            if not (staged / folder).exists():
                self.disk.make(staged / folder)
                (staged / folder).chmod((target / folder).stat().st_mode & 0o7777)
        self.disk.copy(target / name, staged / name)

    def apply(self, journal: Journal) -> None:
        """Do every step that is not done yet."""
        if journal.staging:
            return
        for step in journal.steps:
            target, staged, backup = Path(step.target), Path(step.staged), Path(step.backup)
            waiting = _there(staged) if step.new != ABSENT else not _there(backup)
            if not waiting:
                continue
            if step.old != ABSENT and _there(target) and not _there(backup):
                self.disk.rename(target, backup)
            if step.new != ABSENT:
                self.disk.rename(staged, target)

    def undo(self, journal: Journal) -> None:
        """Take every step back, the last first, and the transaction with it."""
        for step in reversed(journal.steps):
            target, staged, backup = Path(step.target), Path(step.staged), Path(step.backup)
            if step.new != ABSENT and not _there(staged) and _there(target):
                self.disk.rename(target, staged)
            if _there(backup):
                self.disk.rename(backup, target)
        before = self.state.record()
        self._close(journal, _times(journal, before))

    def decide(self, journal: Journal, after: Record | None) -> Journal:
        """Write down that the new state holds: from here on it is finished, not taken back."""
        decided = msgspec.structs.replace(journal, decided=True, after=after)
        self.state.save_journal(decided)
        return decided

    def finish(self, journal: Journal, times: Mapping[str, int]) -> None:
        """Write the record, and delete what was moved aside."""
        self.apply(journal)
        if journal.after is not None:
            self.state.save_record(journal.after)
            self._close(journal, {})
        else:  # the record goes late: whoever finishes this after a broken-off run reads the times from it
            self._close(journal, times, self.state.record_file)

    def _close(self, journal: Journal, times: Mapping[str, int], record: Path | None = None) -> None:
        """Delete what waits, give the times back, and take the record, then the journal, away."""
        for step in journal.steps:
            self.disk.remove(Path(step.staged))
            self.disk.remove(Path(step.backup))
        for folder in journal.folders:
            self.disk.remove(Path(folder))
        self._give_back(times)
        if record is not None:
            self.disk.remove(record)
        self.disk.remove(self.state.journal_file)

    def _give_back(self, times: Mapping[str, int]) -> None:
        for name, changed in times.items():
            self.disk.touch(Path(name), changed)

    def recover(self, restart: Callable[[], None]) -> str:
        """Finish or take back what an earlier run left open; return what was done, "" for nothing.

        Raises:
            IntegrityError: the journal was changed by somebody; nothing is done then.
        """
        journal = self.state.journal()
        if journal is None:
            return ""
        if journal.decided:
            before = self.state.record()
            self.finish(journal, before.times if before is not None else {})
            return f"the {journal.purpose} that was broken off is finished"
        self.undo(journal)
        if not journal.staging:
            restart()
        return f"the {journal.purpose} that was broken off is taken back"

    def leave(self, lock: filelock.FileLock) -> None:
        """Let go of the lock; the state's folder goes too when nothing is in it.

        It goes while the lock is held, where the system allows that: another run's journal may lie there right after.
        """
        folder = self.state.folder
        try:
            if os.name != "posix":
                lock.release()
            if not self.state.journal_file.exists() and not self.state.record_file.exists() and folder.is_dir():
                changed = folder.parent.stat().st_mtime_ns  # nothing but this folder is new in there
                self.disk.remove(folder)
                self.disk.touch(folder.parent, changed)
        finally:
            lock.release()


def _there(place: Path) -> bool:
    return place.exists() or place.is_symlink()


def _times(journal: Journal, before: Record | None) -> Mapping[str, int]:
    """Return the times to give back when a first change is taken back; later ones leave folders as they are."""
    return journal.after.times if before is None and journal.after is not None else {}


def item(target: Path, content: Path) -> Item:
    """Describe what is going to stand at a place."""
    return Item(target=str(target), digest=digest(content), entries=dict(entries(content)))


def foreign(target: Path, ours: Item) -> tuple[str, ...]:
    """Return the files and links below a place that are not what gpubuild put there."""
    if not target.is_dir() or target.is_symlink():
        return ()
    found = []
    for name, words in entries(target):
        if name and not words.startswith("folder ") and ours.entries.get(name) != words:
            found.append(name)
    return tuple(found)
