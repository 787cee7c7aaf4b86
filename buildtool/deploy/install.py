"""Puts what was staged into an installation and proves it, or takes it back; and takes it out again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from buildtool.deploy import watch
from buildtool.deploy.disk import Disk
from buildtool.deploy.journal import Journal, Purpose, Record
from buildtool.deploy.manager import Manager, drop_in, drop_in_text
from buildtool.deploy.model import Installation
from buildtool.deploy.order import Order, Outcome, Talk
from buildtool.deploy.prove import Proof
from buildtool.deploy.rights import disk_errors, require_rights
from buildtool.deploy.server import Server
from buildtool.deploy.site import Site
from buildtool.deploy.transaction import Change, Transactions, foreign, item
from buildtool.errors import GpubuildError, InputEndedError, InvalidInputError

Prove = Callable[[Server], Proof]


class Hands:
    """One command's work on one installation."""

    def __init__(self, site: Site, one: Installation, talk: Talk, *, disk: Disk | None = None) -> None:
        self.site, self.one, self._talk = site, one, talk
        self.transactions = Transactions(site.path(site.real(one.libraries)), disk)
        self.manager = Manager(service=one.service)

    def environment(self, order: Order) -> dict[str, str]:
        """Return the variables that the service will have: an earlier order's are gone, this one's there."""
        record = self.transactions.state.record()
        earlier = record.env if record is not None else {}
        base = {name: value for name, value in self.one.service.environment.items() if earlier.get(name) != value}
        return base | order.staged.env

    def server(self, env: dict[str, str] | None = None) -> Server:
        """Return where the server listens, with the variables that it will have."""
        return Server.of({**self.one.service.environment, **(env or {})})

    def recover(self) -> str:
        """Finish or take back what an earlier run left open."""
        state = self.transactions.state
        if not state.folder.is_dir() or (state.record_file.exists() and not state.journal_file.exists()):
            return ""
        require_rights([state.folder])
        with disk_errors(self.transactions.state.libraries), _Locked(self.transactions):
            done = self.transactions.recover(self.manager.restart)
        if done:
            self._talk.note(f"An earlier run was broken off: {done}.")
        return done

    def ask_to_restart(self, *, now: bool) -> None:
        """Ask before a restart ends what models are writing.

        Raises:
            InvalidInputError: the answer was no.
        """
        loaded = self.server().loaded() if self.manager.commands and not now else ()
        if not loaded:
            return
        names = ", ".join(one.name for one in loaded)
        try:
            yes = self._talk.ask(f"{names} is loaded; a restart ends what it is writing. Restart now?")
        except InputEndedError as error:
            what = f"{names} is loaded, and nobody answered whether to restart now."
            raise InputEndedError(what, hint="--now restarts without asking.") from error
        if not yes:
            what = "Nothing was changed: the restart was not wanted now."
            raise InvalidInputError(what, hint="Run it again when no model is busy.")

    def put(self, order: Order, prove: Prove, *, purpose: Purpose = "enable", now: bool = False) -> Outcome:
        """Put an order into place, start the server anew, prove it; take it back when the proof fails.

        Raises:
            StorageError: no space, or not the rights: then it names the one step that needs root.
            ServiceError: the server did not come back; everything is as it was.
            VerificationError: the proof failed; everything is as it was.
        """
        before = self.transactions.state.record()
        libraries = self.transactions.state.libraries
        with tempfile.TemporaryDirectory(prefix="gpubuild-ollama-") as scratch, disk_errors(libraries):
            changes = self._changes(order, before, Path(scratch))
            require_rights(change.target.parent for change in changes)
            self.ask_to_restart(now=now)
            after = self._record(order, changes, before)
            if not order.watch:
                watch.stop(self.one.service, before)
            with _Locked(self.transactions):
                journal = self._prepared(purpose, changes, after)
                proof, after = self._applied(journal, order, prove, after)
                self.transactions.finish(self.transactions.decide(journal, after), {})
        if order.watch:
            watch.start(self.one.service)
        return Outcome(
            purpose=purpose,
            method=order.method,
            prefix=self.one.prefix,
            changed=tuple(step.target for step in journal.steps),
            proof=proof.lines,
            proved=proof.whole,
            notes=(*order.staged.notes, *((self.manager.by_hand,) if self.manager.by_hand else ())),
        )

    def _prepared(self, purpose: Purpose, changes: Iterable[Change], after: Record | None) -> Journal:
        try:
            return self.transactions.prepare(purpose, changes, after)
        except BaseException:
            self.transactions.recover(lambda: None)
            raise

    def _applied(self, journal: Journal, order: Order, prove: Prove, after: Record) -> tuple[Proof, Record]:
        try:
            self.transactions.apply(journal)
            self.manager.restart()
            server = self.server(order.staged.env)
            if self.manager.commands:
                self.manager.wait(server)
            proof = prove(server)
        except BaseException as error:
            self._take_back(journal, error)
            raise
        return proof, msgspec.structs.replace(after, proof=proof.lines)

    def _take_back(self, journal: Journal, error: BaseException) -> None:
        self._talk.note("Taking everything back.")
        self.transactions.undo(journal)
        try:
            self.manager.restart()
        except GpubuildError as second:
            self._talk.note(f"Everything is as it was before, but {second.what}")
        if watch.is_on(self.transactions.state.record()):
            watch.start(self.one.service)
        if isinstance(error, GpubuildError):
            error.details = (*error.details, "Everything was taken back: the installation is as it was before.")

    def _changes(self, order: Order, before: Record | None, scratch: Path) -> list[Change]:
        """Return what has to change: what an earlier order put there and this one does not goes away."""
        wanted: dict[Path, Path] = {}
        if order.staged.runner:
            wanted[self.transactions.state.libraries / order.staged.runner] = Path(order.staged.folder)
        if order.staged.env:
            target, content = self._drop_in(order, scratch, before)
            wanted[target] = content
        if order.watch:
            wanted |= watch.files(self.site, self.one, scratch)
        old = [Path(one.target) for one in before.items] if before is not None else []
        gone = [Change(target=target, content=None) for target in old if target not in wanted]
        return gone + [Change(target=target, content=content) for target, content in wanted.items()]

    def _drop_in(self, order: Order, scratch: Path, before: Record | None) -> tuple[Path, Path]:
        file, there = drop_in(self.site, self.one.service)
        ours = {one.target for one in before.items} if before is not None else set()
        text = drop_in_text(order.staged.env, f"{order.device} ({order.target})")
        if there and str(file.parent) not in ours:
            content = scratch / file.name
            content.write_bytes(text)
            content.chmod(0o644)
            return file, content
        folder = scratch / file.parent.name
        folder.mkdir()
        folder.chmod(0o755)
        (folder / file.name).write_bytes(text)
        (folder / file.name).chmod(0o644)
        return file.parent, folder

    def _record(self, order: Order, changes: Iterable[Change], before: Record | None) -> Record:
        folders = {change.target.parent for change in changes} | {self.transactions.state.folder.parent}
        times = {str(folder): folder.stat().st_mtime_ns for folder in sorted(folders)}
        items = [item(change.target, change.content) for change in changes if change.content is not None]
        return Record(
            prefix=self.one.prefix,
            program=self.one.program,
            method=order.method,
            target=order.target,
            device=order.device,
            version=self.one.version.value or "",
            llama_cpp=self.one.llama_cpp.value or "",
            runner=order.staged.runner,
            donor=order.donor,
            built=order.built,
            source=order.source,
            model=order.model,
            unproved=order.unproved,
            env=order.staged.env,
            items=tuple(items),
            times=times | (before.times if before is not None else {}),
        )

    def take_out(self, *, now: bool = False) -> Outcome:
        """Take away everything that gpubuild put there, and start the server anew.

        Files that others put into our folder, or changed there, are kept.

        Raises:
            InvalidInputError: there is nothing of gpubuild's in this installation.
            StorageError, ServiceError: as `put`; everything is as it was then.
        """
        record = self.transactions.state.record()
        if record is None:
            what = f"There is nothing of gpubuild's in {self.one.prefix}."
            raise InvalidInputError(what, hint="gpubuild ollama status shows what is there.")
        changes = [Change(target=Path(one.target), content=None) for one in record.items]
        require_rights(change.target.parent for change in changes)
        self.ask_to_restart(now=now)
        kept = tuple(str(Path(one.target) / name) for one in record.items for name in foreign(Path(one.target), one))
        watch.stop(self.one.service, record)
        with disk_errors(self.transactions.state.libraries), _Locked(self.transactions):
            journal = self._prepared("restore", changes, None)
            self._restored(journal)
            self.transactions.finish(self.transactions.decide(journal, None), record.times)
        return Outcome(
            purpose="restore",
            method=record.method,
            prefix=self.one.prefix,
            changed=tuple(step.target for step in journal.steps),
            kept=kept,
            notes=(self.manager.by_hand,) if self.manager.by_hand else (),
        )

    def _restored(self, journal: Journal) -> None:
        try:
            self.transactions.apply(journal)
            self.manager.restart()
            if self.manager.commands:
                self.manager.wait(self.server())
        except BaseException as error:
            self._take_back(journal, error)
            raise


class _Locked:
    """The lock of an installation's transactions, for a ``with`` block."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def __enter__(self) -> None:
        self._lock = self._transactions.locked()

    def __exit__(self, *_error: object) -> None:
        self._transactions.leave(self._lock)
