"""The solver against every multiset of builds there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.matrix.cover import Option, cover

ELEMENTS = 6


def places(elements: list[int], rooms: list[tuple[frozenset[int], int]]) -> bool:
    """Whether all elements can be placed, tried one way after the other."""
    if not elements:
        return True
    first, *rest = elements
    for number, (serves, room) in enumerate(rooms):
        if first in serves and room:
            less = [*rooms[:number], (serves, room - 1), *rooms[number + 1 :]]
            if places(rest, less):
                return True
    return False


def brute_force(elements: list[int], options: list[Option]) -> tuple[int, tuple[int, ...]]:
    """Return the fewest builds and their least cost, by trying every multiset of options."""
    for count in range(1, len(elements) + 1):
        costs = [
            tuple(map(sum, zip(*(option.cost for option in chosen), strict=True)))
            for chosen in itertools.combinations_with_replacement(options, count)
            if places(elements, [(option.serves, option.room) for option in chosen])
        ]
        if costs:
            return count, min(costs)
    message = "not served"
    raise ValueError(message)


options_strategy = st.lists(
    st.builds(
        Option,
        serves=st.frozensets(st.integers(0, ELEMENTS - 1), max_size=ELEMENTS),
        capacity=st.none() | st.integers(0, 3),
        cost=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=80)
@given(options_strategy)
def test_the_cover_is_as_small_and_cheap_as_brute_force_finds(options: list[Option]) -> None:
    served = sorted({one for option in options if option.room for one in option.serves})
    if not served:
        return
    parts = cover(served, tuple(options))
    builds = [build for part in parts for build in part.builds]
    cost = tuple(map(sum, zip(*(options[build.option].cost for build in builds), strict=True)))
    assert (len(builds), cost) == brute_force(served, options)
    assert sorted(one for build in builds for one in build.elements) == served
    for build in builds:
        assert set(build.elements) <= options[build.option].serves
        assert len(build.elements) <= options[build.option].room
    for part in parts:
        assert len(part.apart) <= len(part.builds)
        assert part.fewest_by_room <= len(part.builds)
        assert not any(len(option.serves & set(part.apart)) > 1 for option in options if option.room)


@given(options_strategy)
def test_what_nothing_serves_is_refused(options: list[Option]) -> None:
    with pytest.raises(ValueError, match="no option serves"):
        cover([*range(ELEMENTS), ELEMENTS], tuple(options))


def test_an_element_goes_to_the_build_that_serves_it_best() -> None:
    both, left, right = frozenset({0, 1, 2}), frozenset({0, 1}), frozenset({1, 2})
    options = (Option(serves=left, capacity=None, cost=(1,)), Option(serves=right, capacity=None, cost=(1,)))
    for best in (0, 1):
        (part,) = cover(both, options, lambda _, option, best=best: 0 if option == best else 1)
        assert next(build.option for build in part.builds if 1 in build.elements) == best
