"""Write what each build step costs into a recipe, so that a first build's progress and ETA tell the truth.

Usage: python tools/update_costs.py RECIPE BOOK...

A BOOK is what gpubuild learned from cold builds (costs/RECIPE-BACKEND.json in its cache directory), or the .ninja_log
of one; to add to the recipe's own book, name that first. Where several know a step, the first counts; a later book is
brought to the speed of those before it by the steps that both know. The values are seconds on some machine: only
their ratios matter, a build learns the speed of its own machine as it goes. The order of the slowest CUDA files
follows from them, and with it the link order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from buildtool.build.costs import parse_ninja_log

LEAST_S = 0.1
TELLING_S = 1.0  # a shorter step may have come from a compiler cache, and says nothing of the machine's speed
FEWEST_TELLING = 20


def travels(step: str) -> bool:
    """Whether a step is one of the build, with the same name on every machine: an absolute path has another."""
    return not step.startswith(("/", "CMakeFiles/")) and step != "build.ninja"


def read(book: Path) -> dict[str, float]:
    """Return seconds by step."""
    text = book.read_text(encoding="utf-8")
    costs: dict[str, float] = parse_ninja_log(text) if book.name == ".ninja_log" else json.loads(text)
    return {step: seconds for step, seconds in costs.items() if travels(step)}


def factor(known: dict[str, float], more: dict[str, float]) -> float:
    """Return by what `more` is multiplied to be of the speed of `known`; 1 where too little is in both."""
    shared = [step for step in known.keys() & more.keys() if min(known[step], more[step]) >= TELLING_S]
    if len(shared) < FEWEST_TELLING:
        return 1.0
    return sum(known[step] for step in shared) / sum(more[step] for step in shared)


def main(recipe: str, books: list[str]) -> int:
    """Merge the books into the recipe's own."""
    costs: dict[str, float] = {}
    for book in books:
        more = read(Path(book))
        by = factor(costs, more)
        print(f"{book}: {len(more.keys() - costs.keys())} more steps, times {by:.2f}")
        costs = {step: seconds * by for step, seconds in more.items()} | costs
    place = Path(__file__).parents[1] / "recipes" / recipe / "costs.json"
    kept = {step: round(seconds, 1) for step, seconds in sorted(costs.items()) if seconds >= LEAST_S}
    place.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
    print(f"{len(kept)} steps, {sum(kept.values()) / 60:.0f} minutes of one core, in {place.name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:  # noqa: PLR2004 - a recipe and at least one book
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
