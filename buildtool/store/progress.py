"""What long work tells about itself; the command line shows it, a library caller may ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one thing at a time."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin something named `label`, of `total_bytes` bytes when that is known."""

    def advance(self, count: int) -> None:
        """`count` more bytes are done; negative when work has to be repeated."""

    def done(self) -> None:
        """What was started is finished, or was given up."""

    def note(self, text: str) -> None:
        """Say something in passing, such as what is being waited for."""


class Silent:
    """A `Progress` that says nothing."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
