"""What was chosen from an index for a machine, and what speaks against the rest."""

from __future__ import annotations

import msgspec

from buildtool.index.model import IndexedWheel


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The environment to install into: its interpreter, and that one's version (``3.11.7``)."""

    python: str
    version: str


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that does not fit, and why."""

    wheel: str
    why: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The pair to install.

    Attributes:
        runtime: the runtime's wheel.
        backend: the backend's wheel; None for the processor alone.
        reason: why this pair.
        warnings: what the user should know, such as devices that stay unserved.
        objections: what speaks against each backend that was not chosen.
    """

    runtime: IndexedWheel
    backend: IndexedWheel | None
    reason: str
    warnings: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()

    @property
    def wheels(self) -> tuple[IndexedWheel, ...]:
        """What is to be installed."""
        return (self.runtime,) if self.backend is None else (self.runtime, self.backend)
