"""Starts the server anew, and waits until it answers."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.deploy.journal import DROP_IN
from buildtool.deploy.model import Service
from buildtool.deploy.server import Server
from buildtool.deploy.service import systemctl
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError, ServiceError
from buildtool.shell import command_line

RUN_S = 120.0
HEALTH_S = 60.0
BY_HAND = {
    "app": "Quit Ollama in the tray (or menu bar) and start it again.",
    "none": "Stop your ollama serve and start it again.",
}


class Manager(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done with an installation's service."""

    service: Service
    health_s: float = HEALTH_S

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The commands that start the server anew; none where somebody has to do it."""
        if self.service.manager not in {"systemd", "systemd-user"}:
            return ()
        manager, name = self.service.manager, self.service.name
        return (systemctl(manager, "daemon-reload"), systemctl(manager, "restart", name))

    @property
    def by_hand(self) -> str:
        """What a person has to do, "" where nothing."""
        return BY_HAND.get(self.service.manager, "")

    def restart(self) -> None:
        """Read the unit anew and start the server anew.

        Raises:
            ServiceError: the manager refuses, or the server does not come up.
        """
        for argv in self.commands:
            try:
                process.run(argv, timeout_s=RUN_S)
            except GpubuildError as error:
                what = f"{self.service.name} does not start."
                tried = f"{command_line(argv)}: {error.what}"
                hint = f"journalctl {'--user ' if '--user' in argv else ''}-u {self.service.name} -n 50 shows why."
                raise ServiceError(what, why=tried, hint=hint, details=error.details) from error

    def wait(self, server: Server) -> str:
        """Wait until the server answers, and return its version.

        Raises:
            ServiceError: it does not answer in time.
        """
        started = time.monotonic()
        found = server.wait(self.health_s)
        if found is None:
            what = f"{self.service.name or 'Ollama'} does not answer on {server.words}."
            why = f"Nothing within {time.monotonic() - started:.0f} s."
            raise ServiceError(what, why=why, hint=f"journalctl -u {self.service.name or 'ollama'} -n 50 shows why.")
        return found


def drop_in(site: Site, service: Service) -> tuple[Path, bool]:
    """Return where gpubuild's addition to the unit goes, and whether its folder is there already."""
    root = "/etc/systemd/system"
    if service.manager == "systemd-user":
        root = site.join(site.environ.get("HOME", "/root"), ".config", "systemd", "user")
    folder = site.path(site.join(root, f"{service.name}.d"))
    return folder / DROP_IN, folder.is_dir()


def drop_in_text(env: dict[str, str], words: str) -> bytes:
    """Return the addition: variables, and who wrote it for what."""
    lines = [f'Environment="{name}={value}"' for name, value in sorted(env.items())]
    head = [
        f"# Written by gpubuild ollama enable for {' '.join(words.split())}.",
        "# gpubuild ollama restore takes it away.",
        "[Service]",
    ]
    return "\n".join([*head, *lines, ""]).encode()
