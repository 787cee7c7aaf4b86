"""The watcher: a systemd path unit that does it again when an upgrade of Ollama has taken the runner away."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from buildtool import process
from buildtool.deploy.journal import WATCH, Record
from buildtool.deploy.model import Installation, Service
from buildtool.deploy.service import systemctl
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError, ServiceError

PATH_UNIT, SERVICE_UNIT = WATCH
RUN_S = 60.0
SETTLE_S = 20  # an installer replaces the program before it has unpacked the libraries


def path_unit(program: str) -> str:
    """Return the unit that watches Ollama's program."""
    return f"""# Written by gpubuild ollama enable --watch. gpubuild ollama restore takes it away.
[Unit]
Description=Watch Ollama for upgrades that remove gpubuild's runner

[Path]
PathChanged={program}
Unit={SERVICE_UNIT}

[Install]
WantedBy=paths.target
"""


def service_unit(command: str, prefix: str) -> str:
    """Return the unit that puts the runner back."""
    return f"""# Written by gpubuild ollama enable --watch. gpubuild ollama restore takes it away.
[Unit]
Description=Put gpubuild's runner back into Ollama

[Service]
Type=oneshot
ExecStartPre=/bin/sleep {SETTLE_S}
ExecStart={command} ollama reapply --prefix "{prefix}" --now
"""


def files(site: Site, one: Installation, scratch: Path) -> dict[Path, Path]:
    """Write both units into `scratch`; return where they go.

    Raises:
        ServiceError: nothing here can watch.
    """
    manager = one.service.manager
    if manager not in {"systemd", "systemd-user"}:
        what = "Only systemd can watch for upgrades here."
        raise ServiceError(what, hint="Run gpubuild ollama reapply after each upgrade of Ollama.")
    root = "/etc/systemd/system"
    if manager == "systemd-user":
        root = site.join(site.environ.get("HOME", "/root"), ".config", "systemd", "user")
    command = str(Path(shutil.which(sys.argv[0]) or shutil.which("gpubuild") or "gpubuild").absolute())
    texts = {PATH_UNIT: path_unit(one.program), SERVICE_UNIT: service_unit(command, one.prefix)}
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
