"""Which wheels stand together: the whole index, one backend, or one backend for one device target."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from buildtool.compat.targets import label, parse_target
from buildtool.errors import GpubuildError
from buildtool.index.model import IndexedWheel

ALL = "simple"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A sub-index: its folder, what it is for, and its wheels, sorted by file name."""

    folder: str
    family: str
    target: str
    wheels: tuple[IndexedWheel, ...]


def groups(wheels: Iterable[IndexedWheel]) -> tuple[Group, ...]:
    """Return every sub-index, the whole one first.

    One of a target (``cuda13-sm90``, ``rocm7-gfx1032``) holds only backends with code for it, so that an installer
    which knows nothing of devices still takes a right one. Runtimes and other packages are in all of them.
    """
    wheels = tuple(sorted(wheels, key=lambda wheel: wheel.filename))
    common = tuple(wheel for wheel in wheels if wheel.role != "backend")
    found = [Group(folder=ALL, family="", target="", wheels=wheels)]
    if any(wheel.role == "runtime" for wheel in wheels):
        found.append(Group(folder="cpu", family="cpu", target="", wheels=common))
    for family in sorted({wheel.family for wheel in wheels if wheel.role == "backend"}):
        members = tuple(wheel for wheel in wheels if wheel.role == "backend" and wheel.family == family)
        found.append(_group(family, family, "", (*common, *members)))
        for target in sorted({target for wheel in members for target in wheel.targets}, key=order):
            serving = tuple(wheel for wheel in members if target in wheel.targets)
            found.append(_group(f"{family}-{_word(target)}", family, target, (*common, *serving)))
    return tuple(found)


def _group(folder: str, family: str, target: str, wheels: tuple[IndexedWheel, ...]) -> Group:
    return Group(
        folder=folder, family=family, target=target, wheels=tuple(sorted(wheels, key=lambda wheel: wheel.filename))
    )


def order(target: str) -> tuple[str, int, str]:
    """Return the sort key of a target's name; one that the tables do not know comes last."""
    try:
        return parse_target(target)[0].order
    except GpubuildError:
        return ("~", 0, target)


def _word(target: str) -> str:
    try:
        return label(parse_target(target))
    except GpubuildError:
        return "".join(filter(str.isalnum, target.lower()))
