"""Recognise what GPU tools print when they cannot answer (rows of ``data/messages.toml``)."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from buildtool.probe.sighting import ErrorKind, Trouble, normalise_pci
from buildtool.probe.tables import load_table

MAX_LINES = 4000
MAX_LINE = 400


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known message: `pattern` is searched in a line; `advice` says what to do."""

    pattern: str
    kind: ErrorKind
    advice: str
    source: str
    code: int | None = None


class MessageTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table."""

    schema: int
    message: tuple[Message, ...]


@lru_cache(maxsize=1)
def messages() -> tuple[Message, ...]:
    """Return the table's rows in order."""
    return load_table("messages.toml", MessageTable).message


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[re.Pattern[str], Message], ...]:
    return tuple((re.compile(row.pattern), row) for row in messages())


def find_trouble(text: str) -> Trouble | None:
    """Return the first known message in `text`; messages further up the table win."""
    lines = [line.strip()[:MAX_LINE] for line in text.splitlines()[:MAX_LINES]]
    for pattern, row in _compiled():
        for line in lines:
            match = pattern.search(line)
            if match is not None:
                groups = match.groupdict()
                return Trouble(
                    kind=row.kind,
                    line=line,
                    pci=normalise_pci(groups.get("pci")),
                    subject=groups.get("subject"),
                    code=row.code,
                    library_version=_library_version(lines),
                )
    return None


def _library_version(lines: list[str]) -> str | None:
    """Return the version that newer NVIDIA tools print under a mismatch."""
    found = (re.fullmatch(r"NVML library version: (\d[\d.]{0,20})", line, re.ASCII) for line in lines)
    return next((match[1] for match in found if match), None)


def advice(trouble: Trouble) -> str:
    """Return what to do about `trouble`."""
    for pattern, row in _compiled():
        if row.kind == trouble.kind and pattern.search(trouble.line):
            return row.advice
    return ""


def unreadable(text: str) -> Trouble:
    """Describe output that no parser understands by its first line."""
    first = next((line.strip() for line in text.splitlines()[:MAX_LINES] if line.strip()), "")
    printable = "".join(letter if letter.isprintable() else "?" for letter in first[:120])
    return Trouble(kind="unreadable", line=printable or "(empty)")


def explain(text: str) -> Trouble:
    """Say why `text` holds no device: a known message, or that it is unreadable."""
    return find_trouble(text) or unreadable(text)
