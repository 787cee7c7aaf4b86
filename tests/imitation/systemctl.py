"""An imitation of ``systemctl --user`` for machines without systemd: one service, its unit and drop-ins.

Usage: systemctl.py --user is-active|restart|stop|daemon-reload|enable|disable [--now] [UNIT]
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path(os.environ["HOME"]) / ".config/systemd/user"
STATE = Path(os.environ["HOME"]) / "imitated-systemd"


def settings(unit: str) -> tuple[list[str], dict[str, str]]:
    """What a unit starts and with which variables, drop-ins counted."""
    argv: list[str] = []
    env: dict[str, str] = {}
    for file in (UNITS / unit, *sorted((UNITS / f"{unit}.d").glob("*.conf"))):
        for line in file.read_text().splitlines():
            key, _, value = line.partition("=")
            if key == "ExecStart":
                argv = shlex.split(value)
            elif key == "Environment":
                env |= dict(word.split("=", 1) for word in shlex.split(value))
    return argv, env


def running(unit: str) -> int:
    try:
        number = int((STATE / f"{unit}.pid").read_text())
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else number


def stop(unit: str) -> None:
    number = running(unit)
    if number:
        os.killpg(number, signal.SIGKILL)
        while running(unit):
            time.sleep(0.01)


def start(unit: str) -> int:
    argv, env = settings(unit)
    STATE.mkdir(exist_ok=True)
    with (STATE / f"{unit}.log").open("ab") as log:
        started = subprocess.Popen(
            argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (STATE / f"{unit}.pid").write_text(str(started.pid))
    return 0


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if (STATE / "refuse").exists() and words[0] == "restart":
        print("Job failed. See journalctl.", file=sys.stderr)
        return 1
    if words[0] == "is-active":
        print("active" if running(words[1]) else "inactive")
    elif words[0] == "restart":
        stop(words[1])
        return start(words[1])
    elif words[0] == "stop":
        stop(words[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
