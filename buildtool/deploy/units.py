"""Reads systemd's unit files and what adds to them: what starts, as whom, with which environment."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import msgspec

from buildtool.deploy.site import Site

PREFIXES = "@-:+!|"  # of ExecStart= and EnvironmentFile=, systemd.service(5)


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit with everything that adds to it.

    Attributes:
        name: ``ollama.service``.
        file: where it stands.
        drop_ins: the files that add to it, in the order they hold.
        program: what it starts, "" when it says nothing.
        user: as whom; "" for the manager's own user.
        environment: variables, the later file winning.
    """

    name: str
    file: str
    drop_ins: tuple[str, ...] = ()
    program: str = ""
    user: str = ""
    environment: dict[str, str] = {}


def find_units(site: Site, folders: tuple[str, ...]) -> tuple[Unit, ...]:
    """Return the units whose name or text speaks of Ollama, each from its strongest folder."""
    places = [name for folder in folders for name in site.matches(folder)]
    found: dict[str, str] = {}
    for place in places:
        for name in site.names(place):
            if name.endswith(".service") and name not in found:
                file = site.join(place, name)
                if "ollama" in name or "ollama" in (site.text(file, 1 << 16) or ""):
                    found[name] = file
    return tuple(read_unit(site, name, file, places) for name, file in sorted(found.items()))


def read_unit(site: Site, name: str, file: str, places: list[str]) -> Unit:
    """Read a unit and its drop-ins."""
    drop_ins: dict[str, str] = {}
    for place in places:  # the strongest first: a name that is there already hides the weaker one
        folder = site.join(place, f"{name}.d")
        for one in site.names(folder):
            if one.endswith(".conf"):
                drop_ins.setdefault(one, site.join(folder, one))
    order = tuple(path for _, path in sorted(drop_ins.items()))
    program, user, environment = "", "", dict[str, str]()
    for path in (file, *order):
        for key, value in _settings(site.text(path) or ""):
            if key == "ExecStart":
                words = _words(value)
                program = words[0].lstrip(PREFIXES) if words else ""
            elif key == "User":
                user = value
            elif key == "Environment":
                environment = environment | _assignments(_words(value)) if value else {}
            elif key == "EnvironmentFile" and value:
                environment |= read_environment(site.text(value.lstrip(PREFIXES)) or "")
    return Unit(name=name, file=file, drop_ins=order, program=program, user=user, environment=environment)


def read_environment(text: str) -> dict[str, str]:
    """Read an environment file: one assignment a line, comments with ``#`` or ``;``."""
    lines = (line.strip() for line in text.splitlines())
    return _assignments([word for line in lines if line and line[0] not in "#;" for word in _words(line)[:1]])


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of the section [Service], continued lines joined."""
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        words = line.strip()
        if words.startswith("[") and words.endswith("]"):
            section = words[1:-1]
        elif section == "Service" and words and words[0] not in "#;":
            key, separator, value = words.partition("=")
            if separator:
                yield key.strip(), value.strip()


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:  # an open quote: systemd ignores the line
        return []


def _assignments(words: list[str]) -> dict[str, str]:
    return {name: value for name, separator, value in (word.partition("=") for word in words) if separator and name}
