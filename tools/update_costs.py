"""Write what each build step costs into a recipe, so that a first build's progress and ETA tell the truth.

Usage: python tools/update_costs.py RECIPE BOOK...

A BOOK is what gpubuild learned from cold builds (costs/RECIPE-BACKEND.json in its cache directory); where several know
a step, the first counts. The values are seconds on some machine: only their ratios matter, a build learns the speed of
its own machine as it goes. The order of the slowest files follows from them, and with it the link order.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_S = 0.1


def travels(step: str) -> bool:
    """Whether a step has the same name on every machine: an output named by its absolute path has not."""
    return not step.startswith(("/", "CMakeFiles/gpubuild-"))


def main(recipe: str, books: list[str]) -> int:
    """Merge the books into the recipe's own."""
    costs: dict[str, float] = {}
    for book in reversed(books):
        costs |= json.loads(Path(book).read_text(encoding="utf-8"))
    place = Path(__file__).parents[1] / "recipes" / recipe / "costs.json"
    kept = {step: round(seconds, 1) for step, seconds in sorted(costs.items()) if seconds >= LEAST_S and travels(step)}
    place.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
    print(f"{len(kept)} steps, {sum(kept.values()) / 60:.0f} minutes of one core, in {place.name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:  # noqa: PLR2004 - a recipe and at least one book
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
