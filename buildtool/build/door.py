"""How the commands of a build run: on this machine, or inside the place that holds the compilers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from buildtool.toolchain.sandbox import AnySandbox


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of a build's commands, and where they run.

    Attributes:
        env: their whole environment.
        sandbox: the way into the place they run inside; None for this machine.
        readable: directories they may read there (source, recipe).
        writable: directories they may write there, the first being where they start (build directory, cache).
    """

    env: dict[str, str]
    sandbox: AnySandbox | None = None
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs `command`."""
        if self.sandbox is None:
            return list(command)
        return self.sandbox.argv(
            command,
            cwd=Path(self.writable[0]),
            readable=[Path(path) for path in self.readable],
            writable=[Path(path) for path in self.writable],
        )
