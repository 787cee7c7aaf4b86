"""What shall be put into an installation, what came of it, and who may be asked meanwhile."""

from __future__ import annotations

from typing import Protocol

import msgspec

from buildtool.deploy.journal import Method, Purpose
from buildtool.deploy.stage import Staged


class Talk(Protocol):
    """What the room may say and ask while it works."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def ask(self, question: str) -> bool:
        """Ask something; raises InputEndedError where nobody answers."""


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be put into place, and why: everything the step with root's rights has to know.

    Attributes:
        method, target, device: the way, the device's target and name.
        staged: what waits.
        sha256: digest of the folder that waits, "" for none.
        donor, built, source, model: see `buildtool.deploy.journal.Record`.
        watch: whether a watcher shall do it again after an upgrade.
        unproved: put it into place although llama-server lists no device with it.
    """

    method: Method
    target: str
    device: str
    staged: Staged
    sha256: str = ""
    donor: str = ""
    built: str = ""
    source: str = ""
    model: str = ""
    watch: bool = False
    unproved: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came out: what was put into place or taken away, what was proved, what is special."""

    purpose: Purpose
    method: str
    prefix: str
    changed: tuple[str, ...]
    proof: tuple[str, ...] = ()
    proved: bool = False
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
