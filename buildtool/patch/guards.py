"""Edits of C preprocessor lines: a guard gets one more ``defined()``, a macro one more condition.

Only what is added is written; everything else stays byte for byte, wherever it moved to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from buildtool.patch.model import EditConflictError, Guard, Macro

_LOGICAL = r"(?:\\\r?\n|[^\n])*"  # a line with its continuations
_DIRECTIVE = re.compile(rf"^[ \t]*#[ \t]*(?:el)?if\b(?P<condition>{_LOGICAL})", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TERM = r"defined\s*(?:\(\s*\w+\s*\)|\s\w+)"
_PLAIN = re.compile(rf"\s*{_TERM}(?:\s*\|\|\s*{_TERM})*\s*")
_DEFINE = re.compile(r"\s*#[ \t]*define[ \t]+(?P<name>\w+)")


class _Found(msgspec.Struct, frozen=True):
    """An ``#if`` or ``#elif``: its condition without comments, where that begins, and what its first line defines."""

    condition: str
    start: int
    defines: str
    line: str

    @property
    def terms(self) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", re.sub(r"\bdefined\b", " ", self.condition)))

    @property
    def plain(self) -> bool:
        return _PLAIN.fullmatch(self.condition.replace("\\", " ")) is not None


def edit_guard(text: str, edit: Guard) -> str:
    """Return `text` with the guard widened; the same text when it needs no widening.

    Raises:
        EditConflictError: there is no such guard, more than one, or its condition is not a list of ``defined()``.
    """
    found = _guard(text, edit)
    if found.terms & {edit.term, *edit.enough}:
        return text
    if not found.plain:
        reason = "the condition is not a plain list of defined()"
        raise EditConflictError(reason, tuple(found.line.splitlines()))
    end = found.start + list(re.finditer(_TERM, found.condition))[-1].end()
    return f"{text[:end]} || defined({edit.term}){text[end:]}"


def _guard(text: str, edit: Guard) -> _Found:
    every = tuple(_directives(text))
    if edit.defines:
        wanted = ", ".join(f"#define {name}" for name in edit.defines)
        name = next((one for one in edit.defines if any(guard.defines == one for guard in every)), None)
        fitting = [guard for guard in every if name and guard.defines == name]
    else:
        wanted = f"defined({edit.beside})"
        beside = [guard for guard in every if edit.beside in guard.terms]
        fitting = [guard for guard in beside if guard.plain] or beside
    if len(fitting) != 1:
        lines = tuple(guard.line.strip() for guard in fitting)
        reason = f"{len(fitting) or 'no'} guard{'s' * (len(fitting) > 1)} with {wanted}"
        raise EditConflictError(reason, lines)
    return fitting[0]


def _directives(text: str) -> Iterator[_Found]:
    for found in _DIRECTIVE.finditer(text):
        after = _DEFINE.match(text, found.end())
        yield _Found(
            condition=_COMMENT.sub(lambda comment: " " * len(comment[0]), found["condition"]),
            start=found.start("condition"),
            defines=after["name"] if after else "",
            line=found[0],
        )


def edit_macro(text: str, edit: Macro) -> str:
    """Return `text` with the macro's condition widened or narrowed; the same text when it needs neither.

    Raises:
        EditConflictError: the macro is not defined exactly once, or does not take one parameter.
    """
    head = rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(edit.name)}\(\s*(?P<arg>\w+)\s*\)[ \t]*(?P<body>{_LOGICAL})"
    fitting = list(re.finditer(head, text, re.MULTILINE))
    if len(fitting) != 1:
        lines = tuple(found[0] for found in fitting)
        times = "nowhere" if not fitting else f"{len(fitting)} times"
        reason = f"the macro {edit.name} of one parameter is defined {times}"
        raise EditConflictError(reason, lines)
    found = fitting[0]
    code = _COMMENT.sub(lambda comment: " " * len(comment[0]), found["body"]).rstrip()
    condition = (edit.also or edit.unless).replace("{arg}", found["arg"])
    added = f"({condition}) ||" if edit.also else f"!({condition}) &&"
    if added in code or any(re.search(rf"\b{re.escape(word)}", code) for word in edit.enough):
        return text
    if not code:
        reason = f"the macro {edit.name} has no body"
        raise EditConflictError(reason, (found[0],))
    start = found.start("body")
    return f"{text[:start]}({added} {code}){text[start + len(code) :]}"
