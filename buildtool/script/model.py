"""A script before it is written in a shell: steps whose words may name variables of the script."""

from __future__ import annotations

import re

import msgspec

_OPEN, _CLOSE = "\ue000", "\ue001"  # of Unicode's private use area: no path or option has them
_VARIABLE = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")


def var(name: str) -> str:
    """Return what stands for the value of a variable inside a word."""
    return f"{_OPEN}{name}{_CLOSE}"


def parts(word: str) -> list[tuple[bool, str]]:
    """Split a word into (is a variable, its name or the text itself)."""
    pieces = _VARIABLE.split(word)
    return [(number % 2 == 1, piece) for number, piece in enumerate(pieces) if piece]


class Note(msgspec.Struct, frozen=True, tag=True):
    """A heading: what the steps after it do."""

    text: str


class Need(msgspec.Struct, frozen=True, tag=True):
    """A program that must be there, and what installs it."""

    program: str
    hint: str


class Let(msgspec.Struct, frozen=True, tag=True):
    """A variable; the environment variable `override`, when it is set, wins."""

    name: str
    value: str
    override: str = ""


class First(msgspec.Struct, frozen=True, tag=True):
    """A variable that becomes the first of several paths that exists; `what` says what is missing.

    A path may have ``*``: of what fits it, bash takes the newest version (PowerShell is given none such).
    """

    name: str
    paths: tuple[str, ...]
    what: str


class Unset(msgspec.Struct, frozen=True, tag=True):
    """Environment variables that must not slip into the build."""

    names: tuple[str, ...]


class Export(msgspec.Struct, frozen=True, tag=True):
    """An environment variable for the steps that follow."""

    name: str
    value: str


class Folder(msgspec.Struct, frozen=True, tag=True):
    """A directory that must exist."""

    path: str


class Write(msgspec.Struct, frozen=True, tag=True):
    """A file with this content, letter by letter."""

    path: str
    content: str


class Run(msgspec.Struct, frozen=True, tag=True):
    """A command; with `inside`, in the root filesystem; with `cwd`, from there; unless the path `made` exists.

    With `draft`, the command makes that path, which is renamed to `made` when it is whole: a command that was stopped
    leaves nothing that a second run would take for done.
    """

    argv: tuple[str, ...]
    inside: bool = False
    cwd: str = ""
    made: str = ""
    draft: str = ""


NOT_PLANNED = (
    " is not the file that was planned: its sha256 differs. It was deleted, so that a second run fetches it again."
)


class Check(msgspec.Struct, frozen=True, tag=True):
    """The sha256 (hex) that a file which was fetched must have; one that has another is deleted."""

    path: str
    sha256: str


class Lines(msgspec.Struct, frozen=True, tag=True):
    """Lines of the shell itself, where no other step says it; they hold nothing of a plan but variables."""

    text: str


class Say(msgspec.Struct, frozen=True, tag=True):
    """A line for the person who runs it."""

    text: str


Step = Note | Need | Let | First | Unset | Export | Folder | Write | Run | Check | Lines | Say


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a shell will do, with what stands above it."""

    head: tuple[str, ...]
    steps: tuple[Step, ...]
