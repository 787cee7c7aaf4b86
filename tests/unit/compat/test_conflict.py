from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.conflict import Fact, smallest_conflict

FACTS = [Fact("wish", "a"), Fact("wish", "b"), Fact("law", "c"), Fact("machine", "d"), Fact("machine", "e")]
# Each number names a set of facts by its bits.
BROKEN = st.lists(
    st.integers(1, 31).map(lambda bits: frozenset(fact for place, fact in enumerate(FACTS) if bits >> place & 1)),
    max_size=8,
)


@given(BROKEN)
def test_a_conflict_rules_everything_out_and_no_smaller_set_does(broken: list[frozenset[Fact]]) -> None:
    conflict = set(smallest_conflict(broken))
    assert all(conflict & one for one in broken)
    if conflict:
        smaller = combinations(FACTS, len(conflict) - 1)
        assert not any(all(set(group) & one for one in broken) for group in smaller)


@given(BROKEN)
def test_dropping_any_fact_lets_something_through(broken: list[frozenset[Fact]]) -> None:
    conflict = set(smallest_conflict(broken))
    for fact in conflict:
        assert any(not one & (conflict - {fact}) for one in broken)


@given(BROKEN, st.randoms())
def test_the_order_never_matters(broken: list[frozenset[Fact]], random: object) -> None:
    shuffled = list(broken)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert smallest_conflict(broken) == smallest_conflict(shuffled)


def test_wishes_are_named_before_the_state_of_the_machine() -> None:
    broken = [frozenset({FACTS[0], FACTS[3]}), frozenset({FACTS[0], FACTS[4], FACTS[3]})]
    assert smallest_conflict(broken) == (FACTS[0],)


def test_nothing_conflicts_when_something_works() -> None:
    assert smallest_conflict([frozenset(), frozenset({FACTS[0]})]) == ()
