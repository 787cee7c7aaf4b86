"""How fast the smallest matrix is found: ``python benchmarks/matrix.py``.

200 cards drawn with a fixed seed from every product that has a target, every toolkit that can be fetched or made (at
least 30) and every platform (at least 6), without and with limits that split jobs. Prints processor time of one core,
which a busy machine does not change, and fails above the bound of 5 s for each.
"""

from __future__ import annotations

import random
import sys
import time

from buildtool.compat.options import options_for
from buildtool.errors import UnknownNameError
from buildtool.matrix import Wish, sites, solve
from buildtool.matrix.platforms import platforms
from buildtool.probe.chips import product_names

MOST_S = 5.0
CARDS = 200
TOOLKITS = 30
PLATFORMS = 6
SEED = 20261124
LIMITS: tuple[dict[str, int | str], ...] = (
    {},
    {"most_mb": 65},
    {"most_mb": 45, "most_minutes": 60},
    {"glibc": "2.36"},
)


def known_cards(dice: random.Random) -> list[str]:
    """Return names of distinct cards whose target is known."""
    from buildtool.compat.devices import device_target

    names = sorted({product for _, _, product in product_names()})
    dice.shuffle(names)
    found: list[str] = []
    for name in names:
        try:
            device_target(name)
        except UnknownNameError:
            continue
        found.append(name)
        if len(found) == CARDS:
            return found
    sys.exit(f"only {len(found)} cards are known")


def main() -> None:
    """Measure and print."""
    cards = tuple((name, 1.0) for name in known_cards(random.Random(SEED)))  # noqa: S311 - the same cards every time
    systems = tuple(row.name for row in platforms())
    places = sites(systems)
    toolkits = {
        (option.kind, option.version)
        for site in places
        for backend in ("cuda", "rocm", "vulkan")
        for option in options_for(backend, site.host)
        if option is not None
    }
    if len(toolkits) < TOOLKITS or len(systems) < PLATFORMS:
        sys.exit(f"{len(toolkits)} toolkits and {len(systems)} platforms are too few")
    slow = False
    for limits in LIMITS:
        wish = Wish(cards=cards, systems=systems, partial=True, **limits)  # type: ignore[arg-type]
        start = time.process_time()
        matrix = solve(wish, places)
        seconds = time.process_time() - start
        slow |= seconds > MOST_S
        words = ", ".join(f"{key} {value}" for key, value in limits.items()) or "no limits"
        targets = len({target for job in matrix.jobs for target in job.targets})
        print(
            f"{len(cards)} cards ({targets} targets), {len(toolkits)} toolkits, {len(systems)} platforms, {words}: "
            f"{matrix.fewest} jobs in {seconds:.2f} s"
        )
    if slow:
        sys.exit(f"too slow: the bound is {MOST_S:g} s")


if __name__ == "__main__":
    main()
