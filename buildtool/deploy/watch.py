"""The watcher: a systemd path unit that does it again when an upgrade of Ollama has taken the runner away."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from buildtool import process
from buildtool.deploy.journal import WATCH, Record
from buildtool.deploy.model import Installation, Service
from buildtool.deploy.service import systemctl
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError, ServiceError

PATH_UNIT, SERVICE_UNIT = WATCH
RUN_S = 60.0
HEAD = "# Written by gpubuild ollama enable --watch. gpubuild ollama restore takes it away."
PLAIN = re.compile(r"[\w./:=@+,-]+")
SETTLE_S = 20  # an installer replaces the program before it has unpacked the libraries


def path_unit(program: str) -> str:
    """Return the unit that watches Ollama's program."""
    return f"""{HEAD}
[Unit]
Description=Watch Ollama for upgrades that remove gpubuild's runner

[Path]
PathChanged={program.replace("%", "%%")}
Unit={SERVICE_UNIT}

[Install]
WantedBy=paths.target
"""


def service_unit(start: str, unless: str = "") -> str:
    """Return the unit that puts the runner back.

    Args:
        start: the command that does it, as systemd reads it.
        unless: a folder whose presence says that there is nothing to do, "" where the command finds that out.
    """
    condition = f"ConditionPathExists=!{unless.replace('%', '%%')}\n" if unless else ""
    return f"""{HEAD}
[Unit]
Description=Put gpubuild's runner back into Ollama
{condition}
[Service]
Type=oneshot
ExecStartPre=/bin/sleep {SETTLE_S}
ExecStart={start}
"""


def line_of(argv: Sequence[str]) -> str:
    """Write a command as ExecStart= reads it, whatever its words hold: blanks, quotes, what looks like a variable.

    env(1) starts it, because systemd takes the first word for the program as it is, without variables.
    """
    rules = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"})
    words = (word if PLAIN.fullmatch(word) else f'"{word.translate(rules)}"' for word in argv)
    return " ".join(("/usr/bin/env", *words))


def require_systemd(site: Site, service: Service) -> None:
    """Refuse to watch where nothing can.

    Raises:
        ServiceError: the server is no service of systemd's.
    """
    if service.manager in {"systemd", "systemd-user"}:
        return
    what = "Only systemd can watch for upgrades here."
    hint = "Run gpubuild ollama reapply after each upgrade of Ollama."
    if site.system == "windows":
        hint += " With --print-script, --watch prints a scheduled task."
    raise ServiceError(what, hint=hint)


def folder_of(site: Site, service: Service) -> str:
    """Return where units of an installation's manager go."""
    if service.manager == "systemd-user":
        return site.join(site.environ.get("HOME", "/root"), ".config", "systemd", "user")
    return "/etc/systemd/system"


def files(site: Site, one: Installation, scratch: Path) -> dict[Path, Path]:
    """Write both units into `scratch`; return where they go.

    Raises:
        ServiceError: nothing here can watch.
    """
    require_systemd(site, one.service)
    root = folder_of(site, one.service)
    command = str(Path(shutil.which(sys.argv[0]) or shutil.which("gpubuild") or "gpubuild").absolute())
    start = line_of((command, "ollama", "reapply", "--prefix", one.prefix, "--now"))
    texts = {PATH_UNIT: path_unit(one.program), SERVICE_UNIT: service_unit(start)}
    for name, text in texts.items():
        (scratch / name).write_text(text, "utf-8")
        (scratch / name).chmod(0o644)
    return {site.path(site.join(root, name)): scratch / name for name in texts}


def start(service: Service) -> None:
    """Let the watcher begin, now and after each start of the machine.

    Raises:
        ServiceError: systemd refuses.
    """
    try:
        process.run(systemctl(service.manager, "daemon-reload"), timeout_s=RUN_S)
        process.run(systemctl(service.manager, "enable", "--now", PATH_UNIT), timeout_s=RUN_S)
    except GpubuildError as error:
        what = f"The runner is in place, but {PATH_UNIT} does not start."
        raise ServiceError(what, why=error.what, details=error.details) from error


def is_on(record: Record | None) -> bool:
    """Whether a watcher is among what was put into place."""
    return record is not None and any(Path(one.target).name == PATH_UNIT for one in record.items)


def stop(service: Service, record: Record | None) -> None:
    """Let the watcher end, if there is one; a manager that refuses is no reason to keep the rest."""
    if is_on(record):
        process.run(systemctl(service.manager, "disable", "--now", PATH_UNIT), timeout_s=RUN_S, check=False)
