"""The table of facts about Ollama (``data/ollama.toml``): places, layouts, pins, libraries, log lines."""

from __future__ import annotations

import datetime as dt
import functools
import tomllib
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.model import Backend
from buildtool.compat.tables import Row
from buildtool.errors import DataError
from buildtool.probe.machine import System

Generation = Literal["new", "old", "runners", "unknown"]
Meaning = Literal["used", "no-rocblas", "not-in-archs", "integrated", "duplicate", "no-init", "driver", "none"]


class Place(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where installations of one kind stand; the fields are described in the table."""

    system: System
    kind: str
    folders: tuple[str, ...]
    flat: bool = False
    writable: bool = True
    why: str = ""


class Libraries(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the libraries stand, relative to the program."""

    folders: tuple[str, ...]


class Pin(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A llama.cpp tag, and the versions of Ollama that somebody saw it in."""

    tag: str
    versions: tuple[str, ...]
    date: dt.date | None = None


class Library(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of Ollama's libraries (CUDA, ROCm, Vulkan), gpubuild's backend for it, and its rank: lower wins."""

    name: str
    backend: Backend
    folders: tuple[str, ...]
    modules: tuple[str, ...]
    rank: int


class Layout(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generation of layout, and whether its Ollama picks up a new runner directory by itself."""

    name: Generation
    files: tuple[str, ...]
    words: str
    discovers: bool


class Line(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the log, told by a part of its message."""

    part: str
    meaning: Meaning


class LogFiles(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a system's Ollama writes its log."""

    system: System
    files: tuple[str, ...]


class Units(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a manager of services looks for units, the strongest first."""

    manager: Literal["systemd", "systemd-user"]
    folders: tuple[str, ...]


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table."""

    schema: int
    places: tuple[Place, ...] = msgspec.field(name="place")
    libraries: tuple[Libraries, ...]
    pins: tuple[Pin, ...] = msgspec.field(name="pin")
    backends: tuple[Library, ...] = msgspec.field(name="library")
    layouts: tuple[Layout, ...] = msgspec.field(name="layout")
    lines: tuple[Line, ...] = msgspec.field(name="line")
    logs: tuple[LogFiles, ...] = msgspec.field(name="log")
    units: tuple[Units, ...]

    def library(self, name: str) -> Library:
        """Return a library's row by Ollama's name for it, or by gpubuild's backend."""
        return next(row for row in self.backends if name in {row.name, row.backend})

    def pin_of(self, version: str) -> Pin | None:
        """Return the pin that somebody saw in a version, None where nobody did."""
        return next((row for row in self.pins if version in row.versions), None)


@functools.cache
def facts() -> Facts:
    """Return the table.

    Raises:
        DataError: it is damaged, or a row has no source.
    """
    text = resources.files("buildtool.deploy").joinpath("data", "ollama.toml").read_text("utf-8")
    try:
        return msgspec.convert(tomllib.loads(text), Facts)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        what = "The table ollama.toml is damaged."
        raise DataError(what, why=str(error), hint="Reinstall gpubuild.") from error
