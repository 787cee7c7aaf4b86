"""Why nothing works: the smallest set of facts that together rule out every candidate.

Every candidate that fails breaks some facts. A set of facts rules everything out when every candidate breaks at
least one of them; a smallest such set is a minimum hitting set, found here by trying sets by size. There are
about a dozen facts, so this is instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

FactKind = Literal["wish", "law", "platform", "machine"]
_WEIGHT: dict[FactKind, int] = {"wish": 0, "law": 1, "platform": 2, "machine": 3}


class Fact(NamedTuple):
    """Something a candidate can break.

    A wish of the user, a law of the tables, a given of the platform (nobody changes the C library to build
    something), or a state of the machine, which installing something changes.
    """

    kind: FactKind
    name: str


def smallest_conflict(broken: Iterable[frozenset[Fact]]) -> tuple[Fact, ...]:
    """Return a smallest set of facts of which every element of `broken` holds at least one.

    Among sets of one size, wishes come before laws and laws before states of the machine, because a wish is what
    the reader can change, and states last, since installing is no answer to a law; the order of the input never
    matters. () when some element is empty: nothing conflicts.
    """
    minimal = _minimal(broken)
    if not minimal or frozenset() in minimal:
        return ()
    facts = sorted(frozenset().union(*minimal), key=lambda fact: (_WEIGHT[fact.kind], fact.name))
    for size in range(1, len(facts) + 1):
        hits = [group for group in combinations(facts, size) if all(one & set(group) for one in minimal)]
        if hits:
            return min(hits, key=_preference)
    return tuple(facts)


def _minimal(broken: Iterable[frozenset[Fact]]) -> Sequence[frozenset[Fact]]:
    """Drop every set that holds another one: whoever hits the smaller hits the larger."""
    kept: list[frozenset[Fact]] = []
    for one in sorted(set(broken), key=lambda facts: (len(facts), sorted(facts))):
        if not any(other <= one for other in kept):
            kept.append(one)
    return kept


def _preference(group: tuple[Fact, ...]) -> tuple[int, list[str]]:
    return sum(_WEIGHT[fact.kind] for fact in group), sorted(fact.name for fact in group)
