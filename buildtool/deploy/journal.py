"""What a transaction writes down before it changes anything, and what it leaves behind: sealed against changes.

Both lie in ``.gpubuild-ollama`` beside lib/ollama, where Ollama's installer, which removes lib/ollama, does not reach::

    journal.json   a transaction is open; gone when it is finished
    record.json    what gpubuild has put into this Ollama; gone when it is as it was before
    tx-<id>/       what waits for its place, and what was moved out of it
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from buildtool.deploy.disk import Disk
from buildtool.errors import IntegrityError

SCHEMA = 1
FOLDER = ".gpubuild-ollama"
DROP_IN = "50-gpubuild.conf"
WATCH = ("gpubuild-ollama.path", "gpubuild-ollama.service")
MARK = ".gpubuild-"  # in the name of everything that waits beside its place
Purpose = Literal["enable", "restore", "reapply"]
Method = Literal["override", "retarget", "compile", "vulkan", "igpu"]
SealedT = TypeVar("SealedT", bound=msgspec.Struct)


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that changes: from a digest to a digest, "" for nothing there.

    Attributes:
        target: the place.
        old, new: digests of what stands there before and after.
        staged: where the new thing waits, on the same file system.
        backup: where the old thing goes.
    """

    target: str
    old: str
    new: str
    staged: str
    backup: str


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that gpubuild put into place: digest of the whole, and of each entry by its relative name."""

    target: str
    digest: str
    entries: dict[str, str]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What gpubuild has put into an Ollama, and what it was asked for, so that it can be done again.

    Attributes:
        prefix: the installation.
        program: its program.
        method: the way that was gone.
        target: the device's target.
        device: its name.
        version, llama_cpp: what the installation was then.
        runner: the runner folder's name, "" when none was added.
        donor: the runner folder it was made from, "" for none.
        built: the wheel or folder that somebody named, "" for none.
        source: llama.cpp's source that somebody named, "" for the one that the version leads to.
        model: the model that the proof asked, "" for any.
        unproved: it was wanted although llama-server lists no device with it.
        env: variables that were given to the service.
        items: what was put into place.
        times: folders that changed, with the time of change (ns) they had before.
        proof: what was proved, and how.
    """

    schema: int = SCHEMA
    prefix: str
    program: str
    method: Method
    target: str
    device: str
    version: str
    llama_cpp: str
    runner: str = ""
    donor: str = ""
    built: str = ""
    source: str = ""
    model: str = ""
    unproved: bool = False
    env: dict[str, str] = {}
    items: tuple[Item, ...] = ()
    times: dict[str, int] = {}
    proof: tuple[str, ...] = ()


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An open transaction.

    Attributes:
        id: names its folder.
        purpose: which command began it.
        staging: what is new is still being copied: nothing has changed, delete the copies.
        decided: the new state has proved itself: finish it. Else: take it back.
        steps: in the order they are done.
        after: the record that holds once it is finished; None for none.
        folders: that were made for it, to be taken away when they are empty.
    """

    schema: int = SCHEMA
    id: str
    purpose: Purpose
    staging: bool = False
    decided: bool = False
    steps: tuple[Step, ...]
    after: Record | None
    folders: tuple[str, ...] = ()


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seal: str
    content: msgspec.Raw


class State:
    """The folder beside lib/ollama."""

    def __init__(self, libraries: Path, disk: Disk) -> None:
        self.libraries = libraries
        self.folder = libraries.parent / FOLDER
        self._disk = disk

    @property
    def journal_file(self) -> Path:
        """The open transaction's file."""
        return self.folder / "journal.json"

    @property
    def record_file(self) -> Path:
        """The file that says what was put into place."""
        return self.folder / "record.json"

    def journal(self) -> Journal | None:
        """Return the open transaction.

        Raises:
            IntegrityError: somebody changed it, or it names places that are none of ours.
        """
        found = _load(self.journal_file, Journal)
        for step in found.steps if found is not None else ():
            self._require_ours(step)
        return found

    def record(self) -> Record | None:
        """Return what was put into place.

        Raises:
            IntegrityError: somebody changed it.
        """
        return _load(self.record_file, Record)

    def save_journal(self, journal: Journal) -> None:
        """Write the open transaction down."""
        self._disk.write(self.journal_file, _sealed(journal))

    def save_record(self, record: Record) -> None:
        """Write down what is in place now."""
        self._disk.write(self.record_file, _sealed(record))

    def _require_ours(self, step: Step) -> None:
        """Refuse a journal that would move what is none of our business, whoever sealed it."""
        target = Path(step.target)
        runner = target.parent == self.libraries and "gpubuild" in target.name
        drop_in = target.parent.name.endswith(".service.d") and target.name == DROP_IN
        setting = target.name.endswith(".service.d") or drop_in or target.name in WATCH
        plain = target.is_absolute() and ".." not in target.parts
        waits = [Path(name) for name in (step.staged, step.backup)]
        beside = all(one.parent == target.parent and MARK in one.name for one in waits)
        yard = all(FOLDER in one.parts and ".." not in one.parts for one in waits)
        if not plain or not (runner or setting) or not (beside or yard):
            what = f"The journal {self.journal_file} names {step.target}, which gpubuild does not change."
            raise IntegrityError(what, why="Somebody changed it.", hint=self._hint())

    def _hint(self) -> str:
        return f"Nothing was done. Look at {self.folder}; if it is yours to delete: rm -r {self.folder}"


def _sealed(value: msgspec.Struct) -> bytes:
    content = msgspec.json.encode(value)
    seal = hashlib.sha256(content).hexdigest()
    return msgspec.json.format(msgspec.json.encode(_Sealed(seal, msgspec.Raw(content))), indent=1) + b"\n"


def _load(file: Path, kind: type[SealedT]) -> SealedT | None:
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    what = f"{file} is damaged, or somebody changed it."
    hint = f"Nothing was done. Look at it; if it is yours to delete: rm {file}"
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
        content = msgspec.json.encode(msgspec.json.decode(bytes(sealed.content)))  # as it was written, without blanks
        value = msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise IntegrityError(what, why=str(error), hint=hint) from error
    if hashlib.sha256(content).hexdigest() != sealed.seal:
        raise IntegrityError(what, why="Its seal does not fit its content.", hint=hint)
    return value
