"""Reads a file of CMake presets as far as a build needs it: which there are, and where each builds."""

from __future__ import annotations

import json
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from buildtool.errors import InvalidInputError


class Presets:
    """A file of presets.

    Args:
        file: ``CMakePresets.json``.

    Raises:
        InvalidInputError: it cannot be read, or is no file of presets.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        what = f"{file} is no file of CMake presets."
        try:
            text = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInputError(what, why=str(error)) from error
        if not isinstance(text, dict):
            raise InvalidInputError(what, why="It holds no object.")
        self._configure = _by_name(text.get("configurePresets"))
        self._build = _by_name(text.get("buildPresets"))

    @property
    def names(self) -> tuple[str, ...]:
        """The configure presets that can be used."""
        return tuple(name for name, one in self._configure.items() if not one.get("hidden"))

    def fitting(self, pattern: str) -> str:
        """Return the highest name that a pattern fits, "" for none."""
        return max((name for name in self.names if fnmatchcase(name, pattern)), key=_numbers, default="")

    def value(self, name: str, variable: str) -> str:
        """Return what a configure preset gives a cache variable, "" where it gives nothing."""
        for one in self._line(name):
            found = (one.get("cacheVariables") or {}).get(variable)
            if found is not None:
                return str(found.get("value", "") if isinstance(found, dict) else found)
        return ""

    def build_dir(self, name: str) -> Path:
        """Return where a configure preset builds.

        Raises:
            InvalidInputError: it does not say, or says it in words of the environment.
        """
        folder = self.file.parent
        pattern = next((str(one["binaryDir"]) for one in self._line(name) if "binaryDir" in one), "")
        text = pattern.replace("${sourceDir}", str(folder)).replace("${presetName}", name)
        if not text or "$" in text:
            what = f"The preset {name!r} of {self.file} does not say where it builds."
            raise InvalidInputError(what, why=pattern or "It has no binaryDir.")
        return Path(os.path.normpath(folder / text))

    def build_of(self, name: str) -> str:
        """Return the build preset of a configure preset: of its own name, else one that names it.

        Raises:
            InvalidInputError: there is none.
        """
        if name in self._build:
            return name
        found = next((key for key, one in self._build.items() if one.get("configurePreset") == name), None)
        if found is None:
            what = f"{self.file} has no build preset for {name!r}."
            raise InvalidInputError(what, details=tuple(self._build))
        return found

    def _line(self, name: str) -> list[dict[str, Any]]:
        """Return a configure preset and those it inherits from, the strongest first."""
        found, pending = [], [name]
        while pending:
            one = self._configure.get(pending.pop(0))
            if one is None or one in found:
                continue
            found.append(one)
            above = one.get("inherits") or []
            pending = [*([above] if isinstance(above, str) else above), *pending]
        return found


def _by_name(listed: object) -> dict[str, dict[str, Any]]:
    rows = listed if isinstance(listed, list) else []
    return {str(one["name"]): one for one in rows if isinstance(one, dict) and "name" in one}


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]
