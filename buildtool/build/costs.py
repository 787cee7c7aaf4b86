"""What each build step costs, learned from earlier builds' ``.ninja_log``, so that progress and ETA tell the truth."""

from __future__ import annotations

import json
from pathlib import Path

from buildtool.store.placing import write_whole

CACHED = 0.25  # of the known cost: what took less was not compiled
FORGET = 0.95
# Seconds assumed for a step nobody has timed yet, by the kind Ninja prints.
DEFAULT_S = {"CUDA": 30.0, "HIP": 30.0, "CXX": 5.0, "C": 2.0, "Linking": 1.0}


def parse_ninja_log(text: str) -> dict[str, float]:
    """Return seconds per output of a ``.ninja_log`` (format v5-v7: start, end in ms, mtime, output, hash).

    Damaged lines are passed over; the last entry for an output wins, as in Ninja itself.
    """
    seconds: dict[str, float] = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if line.startswith("#") or len(fields) < 4:  # noqa: PLR2004 - the format's columns
            continue
        try:
            start, end = int(fields[0]), int(fields[1])
        except ValueError:
            continue
        if end >= start >= 0:
            seconds[fields[3]] = (end - start) / 1000
    return seconds


def default_cost(description: str) -> float:
    """Return the assumed cost in seconds of a step from Ninja's description (``Building CUDA object x``)."""
    for word in description.split(" ", maxsplit=2)[:2]:
        if word in DEFAULT_S:
            return DEFAULT_S[word]
    return 0.5


def _read(path: Path) -> dict[str, float]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in loaded.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _generated(seconds: dict[str, float]) -> dict[str, float]:
    """Return costs of steps that Ninja describes by what they read: ``mul_mm.comp`` for ``mul_mm.comp.cpp``."""
    sources = ((Path(output), cost) for output, cost in seconds.items() if output.endswith(".comp.cpp"))
    return {output.stem: cost for output, cost in sources}


class CostBook:
    """Costs of steps by output name, kept in one JSON file per recipe and backend."""

    def __init__(self, path: Path, shipped: Path) -> None:
        """Read the book at `path` over the `shipped` one; a missing or damaged one is empty."""
        self.path = path
        self._shipped = _read(shipped)
        self._seconds = self._shipped | _read(path)
        self._generated = _generated(self._seconds)

    def cost(self, description: str) -> float:
        """Return seconds for a step from Ninja's description; its last word is the output, or what that is made of."""
        word = description.rsplit(" ", maxsplit=1)[-1]
        known = self._seconds.get(word, self._generated.get(word))
        return default_cost(description) if known is None else known

    def slowest(self, folder: str, suffix: str, count: int) -> tuple[str, ...]:
        """Return the sources of the slowest objects below `folder` that end in `suffix` + ``.o``, slowest first.

        Only the shipped book counts: the order decides the link order, which must be the same everywhere.
        """
        ours = {name: cost for name, cost in self._shipped.items() if name.startswith(folder)}
        named = [(seconds, output) for output, seconds in ours.items() if output.endswith(suffix + ".o")]
        return tuple(Path(output).name.removesuffix(".o") for _, output in sorted(named, reverse=True)[:count])

    def learn(self, seconds: dict[str, float]) -> None:
        """Take over what a build really cost.

        A step that took less than a quarter of what is known came from a cache, most likely: what is known stays,
        and is forgotten slowly, should this machine really be that much faster.

        Raises:
            OSError: the book cannot be written.
        """
        merged = dict(self._seconds)
        for output, value in seconds.items():
            known = merged.get(output, 0.0)
            merged[output] = known * FORGET if value < known * CACHED else value
        self._seconds = merged
        rounded = {key: round(value, 2) for key, value in sorted(merged.items())}
        write_whole(self.path, json.dumps(rounded).encode())
