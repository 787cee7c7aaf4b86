"""Command lines as people paste them: the one place that quotes words for a shell.

Nothing is ever run through a shell (`buildtool.process` takes lists); this is for what is shown.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w@%+:,./-]+", re.ASCII)
_PLAIN_ON_WINDOWS = re.compile(r"[\w@+:./\\-]+", re.ASCII)
_NOT_IN_DOUBLE_QUOTES = frozenset('"$`\\!%\r\n\0')


def here() -> str:
    """Return the system whose shells read what is shown here: ``linux``, ``macos`` or ``windows``."""
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


def quote(word: str, system: str = "linux") -> str:
    """Quote one word so that the shells of `system` take it as it is.

    Double quotes are preferred, which sh, PowerShell and cmd.exe read alike. What they would change stands in single
    quotes: for sh by `shlex`, for PowerShell (not cmd.exe) on Windows.

    Args:
        word: the word.
        system: ``linux``, ``macos`` or ``windows``.
    """
    windows = system == "windows"
    if (_PLAIN_ON_WINDOWS if windows else _PLAIN).fullmatch(word):
        return word
    changed = _NOT_IN_DOUBLE_QUOTES & set(word)
    if windows and changed <= {"\\", "!"} and not word.endswith("\\"):
        changed = frozenset()
    if word and not changed:
        return f'"{word}"'
    return "'" + word.replace("'", "''") + "'" if windows else shlex.quote(word)


def command_line(words: Iterable[str], system: str = "linux") -> str:
    """Write a command as a line for the shells of `system`; see `quote`."""
    return " ".join(quote(word, system) for word in words)
