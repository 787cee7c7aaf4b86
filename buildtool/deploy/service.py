"""What starts an installation's server, as whom, and where its models are."""

from __future__ import annotations

import msgspec

from buildtool import process
from buildtool.deploy.facts import facts
from buildtool.deploy.model import Models, Service
from buildtool.deploy.site import Site
from buildtool.deploy.units import Unit, find_units
from buildtool.errors import GpubuildError

ASK_S = 5.0
GPU_GROUPS = ("render", "video")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A line of passwd(5)."""

    name: str
    group: str
    home: str


def find_service(site: Site, program: str, *, alone: bool) -> Service:
    """Return what starts `program`.

    Args:
        site: the machine.
        program: the real path of the ollama program.
        alone: whether it is the only installation, so that a unit that starts a program nobody finds is its.
    """
    if site.system != "linux":
        return Service(manager="app", name="Ollama", notes=() if site.here else ("not asked: it is a copy",))
    for row in facts().units:
        for unit in find_units(site, row.folders):
            started = site.real(unit.program) if unit.program else ""
            lost = alone and not site.path(started or "/nonexistent").exists()
            if started == program or (lost and unit.name == "ollama.service"):
                return _described(site, row.manager, unit, started, program)
    return Service(manager="none", notes=("no systemd unit starts it; somebody runs ollama serve by hand",))


def _described(site: Site, manager: str, unit: Unit, started: str, program: str) -> Service:
    notes = [] if started == program else [f"it starts {unit.program}, which is not there"]
    if manager == "systemd" and unit.user not in {"", "root"}:
        notes += _group_notes(site, unit.user)
    return Service(
        manager="systemd-user" if manager == "systemd-user" else "systemd",
        name=unit.name,
        unit=unit.file,
        drop_ins=unit.drop_ins,
        user=unit.user,
        environment=unit.environment,
        state=_state(manager, unit.name) if site.here else None,
        notes=tuple(notes),
    )


def systemctl(manager: str, *words: str) -> tuple[str, ...]:
    """Return a command for the manager of system services, or of the user's own."""
    return ("systemctl", *(("--user",) if manager == "systemd-user" else ()), *words)


def _state(manager: str, name: str) -> str | None:
    try:
        done = process.run(systemctl(manager, "is-active", name), timeout_s=ASK_S, check=False)
    except GpubuildError:
        return None
    words = done.output.split()
    return words[0] if len(words) == 1 else None


def account(site: Site, user: str) -> Account | None:
    """Look a user up in passwd(5)."""
    for line in (site.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[0] == user:  # noqa: PLR2004 - passwd(5) has seven
            return Account(name=fields[0], group=fields[3], home=fields[5])
    return None


def _group_notes(site: Site, user: str) -> list[str]:
    """Say which of the groups that open the GPU's device files the user is not in."""
    found = account(site, user)
    missing = []
    for line in (site.text("/etc/group") or "").splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] in GPU_GROUPS:  # noqa: PLR2004 - group(5) has four
            inside = user in fields[3].split(",") or (found is not None and found.group == fields[2])
            missing += [] if inside else [fields[0]]
    names = " and ".join(missing)
    command = f"sudo usermod -aG {','.join(missing)} {user}"
    return [f"the user {user} is not in the group {names}, which opens the GPU: {command}"] if missing else []


def find_models(site: Site, service: Service) -> Models:
    """Return the model store of an installation."""
    given = service.environment.get("OLLAMA_MODELS") or ("" if service.user else site.environ.get("OLLAMA_MODELS", ""))
    if given:
        return Models(path=given, source="OLLAMA_MODELS", models=_count(site, given))
    home, source = service.environment.get("HOME", ""), "HOME of the unit"
    if not home and service.user:
        found = account(site, service.user)
        home, source = (found.home, f"home of the user {service.user}") if found is not None else ("", "")
    if not home:
        name = "USERPROFILE" if site.system == "windows" else "HOME"
        home, source = site.environ.get(name, ""), "your home"
    if not home:
        return Models(path="", source="nobody's home is known")
    path = site.join(home, ".ollama", "models")
    return Models(path=path, source=source, models=_count(site, path))


def _count(site: Site, path: str) -> int | None:
    """Count the models by their manifests; None when the store cannot be read."""
    folder = site.path(site.join(path, "manifests"))
    try:
        if not folder.is_dir():
            return None
        return sum(one.is_file() for one in folder.rglob("*"))
    except OSError:
        return None
