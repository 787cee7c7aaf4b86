"""Dotted version numbers of toolkits and drivers, and wishes such as ``cuda==13.*`` about them."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from buildtool.errors import InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from packaging.specifiers import Specifier

TOOLKITS = ("cuda", "rocm", "vulkan")
_WISH = re.compile(r"^\s*(?P<kind>[A-Za-z][A-Za-z_-]*)?\s*(?P<spec>[^A-Za-z].*)?$")


class Release(NamedTuple):
    """A dotted version as numbers, comparable; what follows the numbers is ignored."""

    numbers: tuple[int, ...]

    @classmethod
    @functools.cache
    def parse(cls, text: str) -> Release:
        """Read the leading dotted numbers of `text` (``13.0.88``, ``12.4-vendor1``).

        Raises:
            InvalidInputError: there is no number.
        """
        found = re.match(r"\d+(\.\d+)*", text.strip())
        if found is None:
            what = f"{text!r} is not a version number."
            raise InvalidInputError(what)
        return cls(tuple(int(part) for part in found[0].split(".")))

    @classmethod
    def read(cls, text: str | None) -> Release | None:
        """Read `text` as `parse` does; None when it is no version, as odd drivers and compilers report."""
        return cls.parse(text) if text and re.match(r"\s*\d", text) else None

    @property
    def major(self) -> int:
        """The first number."""
        return self.numbers[0]

    @property
    def minor(self) -> tuple[int, ...]:
        """The first two numbers."""
        return (*self.numbers, 0)[:2]

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))


class ToolkitWish(NamedTuple):
    """A wish about a toolkit: its kind and a version specifier as PEP 440 writes it ("" for any)."""

    kind: str
    specifier: str

    def __str__(self) -> str:
        return f"{self.kind}{self.specifier}"

    def admits(self, *versions: str) -> bool:
        """Whether one of a toolkit's version numbers (the compiler's, the release's) meets the wish.

        A specifier is as precise as it is written: ``==13.0`` means every 13.0.x, ``<=12.9`` includes 12.9.86.
        """
        return any(_admits(self.specifier, version) for version in versions)


@functools.cache
def _clauses(specifier: str) -> tuple[tuple[Specifier, int], ...]:
    """Return the clauses of a specifier, each with how many numbers it is written with."""
    from packaging.specifiers import SpecifierSet

    return tuple(
        (clause, len(Release.parse(clause.version).numbers) + clause.version.endswith(".*"))
        for clause in SpecifierSet(specifier)
    )


@functools.cache
def _admits(specifier: str, version: str) -> bool:
    for clause, precision in _clauses(specifier):
        numbers = (*Release.parse(version).numbers, *(0,) * precision)[:precision]
        if not clause.contains(".".join(map(str, numbers))):
            return False
    return True


@functools.cache
def parse_wish(text: str) -> ToolkitWish:
    """Read ``cuda==13.*``, ``rocm>=7``, ``cuda`` or ``cuda 12.4``.

    Raises:
        UnknownNameError: no such toolkit.
        InvalidInputError: the version part is not a PEP 440 specifier.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    found = _WISH.match(text)
    kind = (found["kind"] or "").lower() if found else ""
    if found is None or kind not in TOOLKITS:
        known = suggest(kind, TOOLKITS)
        what = f"{text!r} names no toolkit."
        hint = f'Did you mean "{known[0]}"? ' if known else ""
        raise UnknownNameError(what, hint=f'{hint}Write it like "cuda==13.*" or "rocm>=7".')
    specifier = re.sub(r"\s+", "", found["spec"] or "")
    if specifier[:1].isdigit():
        specifier = f"=={specifier}"
    try:
        parts = sorted(str(clause) for clause in SpecifierSet(specifier))
    except InvalidSpecifier as error:
        what = f"{found['spec']!r} is not a version specifier."
        raise InvalidInputError(what, hint=f'Write it like "{kind}==13.*" or "{kind}>=12.4,<13".') from error
    return ToolkitWish(kind, ",".join(parts))


def suggest(word: str, known: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """Return the known names nearest to a misspelt one, best first; swapped letters are the nearest.

    Args:
        word: what was written.
        known: every right name.
        cutoff: how alike they must be, from 0 to 1.
    """
    near = difflib.get_close_matches(word, sorted(known), n=10, cutoff=cutoff)
    swapped = [one for one in near if sorted(one) == sorted(word)]
    return [*swapped, *(one for one in near if one not in swapped)][:3]
