"""Edits of target lists in CMake's files: presets (JSON) and filters (regular expressions)."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

from buildtool.patch.model import EditConflictError, Filter, Preset

_FORM = re.compile(r"-(?:real|virtual)$")


def edit_preset(text: str, edit: Preset) -> str:
    """Return `text` with the item at the end of the list of every fitting preset that lacks it.

    Raises:
        EditConflictError: not JSON, or no fitting preset has such a list.
    """
    before = _presets(text)
    wanted = [
        index
        for index, (name, value) in enumerate(_lists(before, edit.variable))
        if fnmatchcase(name, edit.preset) and isinstance(value, str)
    ]
    if not wanted:
        reason = f"no preset {edit.preset!r} has a list {edit.variable}"
        raise EditConflictError(reason)
    places = list(re.finditer(rf'"{re.escape(edit.variable)}"\s*:\s*"(?P<list>[^"\\]*)"', text))
    if len(places) != len(_lists(before, edit.variable)):
        reason = f"{edit.variable} stands in other places than presets"
        raise EditConflictError(reason)
    for index in reversed(wanted):
        listed, end = places[index]["list"], places[index].end("list")
        if not _holds(listed, edit.item):
            text = f"{text[:end]}{';' * bool(listed)}{edit.item}{text[end:]}"
    _presets(text)
    return text


def _presets(text: str) -> list[dict[str, Any]]:
    try:
        presets = json.loads(text)["configurePresets"]
    except (ValueError, KeyError, TypeError) as error:
        reason = "not a file of CMake configure presets"
        raise EditConflictError(reason, (str(error),)) from error
    if not isinstance(presets, list) or not all(isinstance(one, dict) for one in presets):
        reason = "its configure presets are not a list"
        raise EditConflictError(reason)
    return presets


def _lists(presets: list[dict[str, Any]], variable: str) -> list[tuple[str, object]]:
    """Return (preset's name, value) of each preset that sets `variable`, in the order of the file."""
    return [
        (str(one.get("name")), one["cacheVariables"][variable])
        for one in presets
        if isinstance(one.get("cacheVariables"), dict) and variable in one["cacheVariables"]
    ]


def _holds(listed: str, item: str) -> bool:
    """Whether a ``;`` list has the item, in any form that CMake knows, or with features where the item has none."""
    names = {_FORM.sub("", one.strip()) for one in listed.split(";")}
    return item in names or (":" not in item and item in {name.partition(":")[0] for name in names})


def edit_filter(text: str, edit: Filter) -> str:
    """Return `text` with the filter letting the item through; the same text when it does already.

    Raises:
        EditConflictError: there is no such filter, more than one, or it is not of the form ``^gfx(...)$``.
    """
    places = list(
        re.finditer(
            rf'\blist\(\s*FILTER\s+{re.escape(edit.variable)}\s+INCLUDE\s+REGEX\s+"(?P<regex>[^"]*)"\s*\)', text
        )
    )
    if len(places) != 1:
        lines = tuple(place[0] for place in places)
        times = f"{len(places) or 'no'} filter{'s' * (len(places) > 1)}"
        reason = f"{times} list(FILTER {edit.variable} INCLUDE REGEX)"
        raise EditConflictError(reason, lines)
    place = places[0]
    regex = place["regex"]
    shape = re.fullmatch(r"\^gfx\((?P<alternatives>[0-9a-z|\[\]-]+)\)\$", regex)
    if shape is None:
        reason = "the filter is not of the form ^gfx(...)$"
        raise EditConflictError(reason, (place[0],))
    if re.fullmatch(regex.strip("^$"), edit.item):
        return text
    end = place.start("regex") + shape.end("alternatives")
    return f"{text[:end]}|{edit.item.removeprefix('gfx')}{text[end:]}"
