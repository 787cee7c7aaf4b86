"""Which machine this is, as the data tables name it."""

from __future__ import annotations

import platform
import sys

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # names of Windows, macOS, Debian and Go
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}


def platform_name() -> str:
    """Return this machine's platform as the data tables name it: ``linux-x86_64``."""
    machine = platform.machine().lower()
    return f"{SYSTEMS.get(sys.platform, sys.platform)}-{MACHINES.get(machine, machine)}"
