"""Kills and faults during enable, switch, reapply and restore of a runner: afterwards old or new, never between.

Usage: python ci/ollama_faults.py [--kills 200] [--faults 50] [--seed 1] [--folder /dev/shm]

Half of the kills hit a random change to the file system (before or after it is done), half a random moment. After each:
the next run's recovery, a comparison with old and new, the same change again, and a restore that has to give the
original bit for bit. It stops at the first that does not.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/imitation"))

import faults

BOTH = (False, True)
KINDS = (*faults.FAULTS, "service", "service for good", "proof")


def kill(course: faults.Course, draw: random.Random, name: str, *, at_a_change: bool) -> tuple[str, str]:
    """Kill one run; return how, and the state that recovery led to."""
    if at_a_change:
        at, after = draw.randint(1, course.count), draw.choice(BOTH)
        return "kill -9 at a change", faults.killed_at(course, name, at, after=after)
    state, hit = faults.killed_after(course, name, draw.uniform(0, course.seconds))
    return "kill -9 at a moment" if hit else "kill -9, too late", state


def fail(course: faults.Course, draw: random.Random, name: str, kind: str) -> str:
    """Let one run fail in one way; return the state that recovery led to."""
    if kind == "proof":
        return faults.proof_fails(course, name)
    if kind.startswith("service"):
        return faults.service_refuses(course, name, 1 if kind == "service" else 99)
    at, lasting, after = draw.randint(1, course.count), draw.choice(BOTH), draw.choice(BOTH)
    return faults.failed_at(course, name, at, faults.FAULTS[kind], after=after, lasting=lasting)


def main() -> None:
    """Break off as many runs as asked for, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", default=None)
    wish = parser.parse_args()
    draw, started = faults.draws(wish.seed), time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="ollama-faults-", dir=wish.folder))
    courses = {scenario.name: faults.Course(scenario, root / scenario.name) for scenario in faults.SCENARIOS}
    tally: collections.Counter[tuple[str, str, str]] = collections.Counter()
    turns = itertools.cycle(courses.values())
    for number in range(wish.kills):
        course, name = next(turns), f"kill-{number}"
        kind, state = kill(course, draw, name, at_a_change=number < wish.kills // 2)
        tally[course.scenario.name, kind, state] += 1
        shutil.rmtree(course.folder / name)
    for number in range(wish.faults):
        kind, name = KINDS[number % len(KINDS)], f"fault-{number}"
        course = courses["switch"] if kind == "proof" else next(turns)
        tally[course.scenario.name, kind, fail(course, draw, name, kind)] += 1
        shutil.rmtree(course.folder / name)
    shutil.rmtree(root)
    for (scenario, kind, state), count in sorted(tally.items()):
        print(f"{scenario:8} {kind:20} {state:4} {count}")
    seconds = time.monotonic() - started
    print(f"{sum(tally.values())} runs broken off: each old or new, completed again, and restored; {seconds:.0f} s")


if __name__ == "__main__":
    main()
