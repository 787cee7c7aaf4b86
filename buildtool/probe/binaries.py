"""Where a GPU backend of llama.cpp may already be installed on this machine."""

from __future__ import annotations

from buildtool.probe.machine import LocalMachine, Machine, dirname, join

# Ollama's install script, its Linux packages and its Windows installer: libraries stand in lib/ollama under the prefix.
LINUX_FOLDERS = ("/usr/local/lib/ollama", "/usr/lib/ollama", "/usr/lib64/ollama")


def find_ollama(machine: Machine | None = None) -> str | None:
    """Return the folder of an installed Ollama's backends, or None when there is none.

    Args:
        machine: another machine to look at; tests imitate one here.
    """
    here = machine if machine is not None else LocalMachine()
    folders: list[str] = []
    program = here.which("ollama")
    if program is not None:
        folder = dirname(here, here.real_path(program))
        folders += [join(here, dirname(here, folder), "lib", "ollama"), join(here, folder, "lib", "ollama")]
    if here.system == "windows":
        data = here.environ.get("LOCALAPPDATA")
        folders += [join(here, data, "Programs", "Ollama", "lib", "ollama")] if data else []
    else:
        folders += LINUX_FOLDERS
    return next((one for one in folders if here.exists(one)), None)
