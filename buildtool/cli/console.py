"""How results and errors reach a terminal, a pipe or a machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec
import typer

from buildtool.errors import GpubuildError

if TYPE_CHECKING:
    from rich.console import Console


def may_colour() -> bool:
    """Say whether the user lets us colour at all: not with ``NO_COLOR`` (no-color.org) or on a terminal without."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def stdout_console() -> Console:
    """Return a console for results; rich is imported only here."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr_console() -> Console:
    """Return a console for progress and notes, which never mix with results."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print any frozen value as indented JSON."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a file's name that is no UTF-8: as escapes, which read back as the same name
        import json

        text = json.dumps(msgspec.to_builtins(value), indent=2)
    typer.echo(text)


def print_note(text: str) -> None:
    """Say something beside the result."""
    typer.echo(f"note: {text}", err=True)


def print_error(error: GpubuildError, *, as_json: bool) -> None:
    """Print an error in one screen: what happened, why, what to do next."""
    if as_json:
        print_json({"error": error.as_dict()})
        return
    bold, red, end = ("\x1b[1m", "\x1b[31m", "\x1b[0m") if sys.stderr.isatty() and may_colour() else ("", "", "")
    lines = [f"{bold}{red}error:{end} {bold}{error.what}{end}"]
    lines += [f"  | {detail}" for detail in error.details]
    if error.why:
        lines.append(f"  why: {error.why}")
    if error.hint:
        lines.append(f"  try: {error.hint}")
    typer.echo("\n".join(lines), err=True)
