"""Reads a list of cards from a file: one a line, perhaps with a share, or machines as ``gpubuild detect`` tells."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from buildtool.errors import InvalidInputError
from buildtool.probe.model import Host

LARGEST = 8 << 20
_SHARE = re.compile(r"\d{1,12}(?:\.\d{1,12})?")


def split_cards(text: str) -> tuple[tuple[str, float], ...]:
    """Split what ``--cover`` got: names parted by commas, semicolons or new lines."""
    return tuple((name.strip(), 1.0) for name in re.split(r"[,;\n]", text) if name.strip())


def read_survey(path: Path) -> tuple[tuple[str, float], ...]:
    """Return the cards of a survey with their weights.

    Raises:
        InvalidInputError: it cannot be read, or names no card.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"The survey {path} cannot be read."
        raise InvalidInputError(what, why=str(error), hint="It is a text file with one card a line.") from error
    if len(data) > LARGEST:
        what = f"The survey {path} is larger than {LARGEST >> 20} MiB."
        raise InvalidInputError(what)
    found = _machines(text, path) if text.lstrip()[:1] in {"{", "["} else _lines(text)
    if not found:
        what = f"The survey {path} names no card."
        raise InvalidInputError(what, hint="Write one card a line, such as: RTX 3060, 4.5%")
    return found


def _lines(text: str) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, share = _parted(line.partition("#")[0].strip())
        if name:
            found[name] = found.get(name, 0.0) + share
    return tuple(found.items())


def _parted(line: str) -> tuple[str, float]:
    """Part a card from its share, which stands behind the last comma, semicolon or tab."""
    at = max(line.rfind(mark) for mark in ",;\t")
    share = line[at + 1 :].strip().removesuffix("%").rstrip()
    if at < 0 or not _SHARE.fullmatch(share):
        return line, 1.0
    return line[:at].strip(), float(share)


def _machines(text: str, path: Path) -> tuple[tuple[str, float], ...]:
    """Read one machine, a list of them, or one a line; a device whose target is known counts by it."""
    try:
        if text.lstrip().startswith("["):
            hosts = msgspec.json.decode(text, type=list[Host])
        else:
            try:
                hosts = [msgspec.json.decode(text, type=Host)]
            except msgspec.DecodeError:
                hosts = [msgspec.json.decode(line, type=Host) for line in text.splitlines() if line.strip()]
    except (msgspec.MsgspecError, RecursionError) as error:
        what = f"The survey {path} holds no machines as gpubuild detect --json writes them."
        raise InvalidInputError(what, why=str(error)) from error
    found: dict[str, float] = {}
    for host in hosts:
        for device in host.devices:
            name = (device.target or "").split(":")[0] or device.name
            found[name] = found.get(name, 0.0) + 1.0
    return tuple(found.items())
