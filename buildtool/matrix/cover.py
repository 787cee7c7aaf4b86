"""The smallest set of builds that serves everything, exactly: branch and bound over options with bounded capacity.

An option may be built several times; each build takes at most its capacity of elements. Fewest builds win, then least
cost. `brute force` in the tests finds the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import msgspec

Cost = tuple[int, ...]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be built.

    Attributes:
        serves: the elements that it can serve.
        capacity: how many of them one build may serve; None for all.
        cost: of one build; compared number by number.
    """

    serves: frozenset[int]
    capacity: int | None
    cost: Cost

    @property
    def room(self) -> int:
        """How many elements one build serves at most."""
        return len(self.serves) if self.capacity is None else min(self.capacity, len(self.serves))


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One build: of which option, and what it serves."""

    option: int
    elements: tuple[int, ...]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for elements that are linked by common options.

    Attributes:
        elements: all of them.
        builds: the fewest.
        apart: elements of which no option serves two: each needs a build of its own.
        fewest_by_room: builds needed because of capacity alone.
        nodes: how many choices were looked at.
    """

    elements: tuple[int, ...]
    builds: tuple[Build, ...]
    apart: tuple[int, ...]
    fewest_by_room: int
    nodes: int


def cover(
    elements: Iterable[int], options: tuple[Option, ...], rank: Callable[[int, int], int] = lambda _element, _option: 0
) -> tuple[Part, ...]:
    """Return the smallest cover of every element, part by part.

    Args:
        elements: what must be served.
        options: what can be built.
        rank: of an option for an element; among the chosen builds, an element goes to one of low rank if there is room.

    Raises:
        ValueError: some element is served by no option with room.
    """
    wanted = frozenset(elements)
    usable = {
        number: msgspec.structs.replace(option, serves=option.serves & wanted)
        for number, option in enumerate(options)
        if option.serves & wanted and option.room > 0
    }
    lost = wanted - frozenset().union(*(option.serves for option in usable.values()))
    if lost:
        message = f"no option serves {sorted(lost)}"
        raise ValueError(message)
    return tuple(_Search(part, usable).run(rank) for part in _parts(wanted, usable))


def _parts(wanted: frozenset[int], usable: dict[int, Option]) -> Iterator[frozenset[int]]:
    """Yield the connected parts: elements linked by common options."""
    left = set(wanted)
    while left:
        part: set[int] = set()
        grown = {min(left)}
        while grown:
            part |= grown
            grown = {one for option in usable.values() if option.serves & part for one in option.serves} - part
        left -= part
        yield frozenset(part)


class _Search:
    """Branch and bound over one part."""

    def __init__(self, part: frozenset[int], usable: dict[int, Option]) -> None:
        self.elements = tuple(sorted(part))
        mine = {number: option for number, option in usable.items() if option.serves & part}
        self.options = _undominated(mine)
        self.most_room = max(option.room for option in self.options.values())
        self.least_cost = min(option.cost for option in self.options.values())
        self.apart = _apart(self.elements, self.options)
        self.by_room = math.ceil(len(self.elements) / self.most_room)
        self.bound = max(len(self.apart), self.by_room)
        self.best: tuple[int, Cost, tuple[int, ...]] | None = None
        self.seen: set[tuple[int, ...]] = set()
        self.nodes = 0

    def run(self, rank: Callable[[int, int], int]) -> Part:
        self._branch(())
        assert self.best is not None  # noqa: S101 - every element has an option with room
        chosen = self.best[2]
        placed, _ = _match(self.elements, chosen, self.options, rank)
        builds = tuple(
            Build(option=number, elements=tuple(one for one in self.elements if placed.get(one) == slot))
            for slot, number in enumerate(chosen)
        )
        return Part(
            elements=self.elements, builds=builds, apart=self.apart, fewest_by_room=self.by_room, nodes=self.nodes
        )

    def _branch(self, chosen: tuple[int, ...]) -> None:
        """Add builds until everything is served; a set of builds is looked at once, in whatever order it came up."""
        if chosen in self.seen:
            return
        self.seen.add(chosen)
        self.nodes += 1
        placed, stuck = _match(self.elements, chosen, self.options)
        cost = self._cost(chosen)
        if len(placed) == len(self.elements):
            found = (len(chosen), cost, chosen)
            self.best = found if self.best is None else min(self.best, found)
            return
        missing = len(self.elements) - len(placed)
        more = max(self._more(chosen, missing), self.bound - len(chosen), 1)
        if self.best is not None and not self._may_improve(len(chosen) + more, cost, more):
            return
        for number in self._next(stuck):
            self._branch(tuple(sorted((*chosen, number))))

    def _may_improve(self, count: int, cost: Cost, more: int) -> bool:
        assert self.best is not None  # noqa: S101 - asked only when there is one
        least = _add(cost, tuple(more * number for number in self.least_cost))
        return (count, least) < (self.best[0], self.best[1])

    def _more(self, chosen: tuple[int, ...], missing: int) -> int:
        """Return how many builds must be added at least: by room, and because some elements go only apart."""
        reached = frozenset().union(*(self.options[number].serves for number in chosen))
        alone = sum(1 for one in self.apart if one not in reached)
        return max(math.ceil(missing / self.most_room), alone)

    def _next(self, stuck: frozenset[int]) -> list[int]:
        """Return the options one of which every larger cover must hold (Hall), the most promising first."""
        fitting = [number for number, option in self.options.items() if option.serves & stuck]
        return sorted(fitting, key=lambda number: (-self.options[number].room, self.options[number].cost, number))

    def _cost(self, chosen: tuple[int, ...]) -> Cost:
        total: Cost = (0,) * len(self.least_cost)
        for number in chosen:
            total = _add(total, self.options[number].cost)
        return total


def _add(one: Cost, other: Cost) -> Cost:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _undominated(options: dict[int, Option]) -> dict[int, Option]:
    """Leave out each option that another one replaces at no higher cost."""
    kept: dict[int, Option] = {}
    for number, option in sorted(options.items(), key=lambda item: (item[1].cost, -item[1].room, item[0])):
        if not any(_replaces(other, option) for other in kept.values()):
            kept[number] = option
    return kept


def _replaces(other: Option, option: Option) -> bool:
    if not option.serves <= other.serves or other.cost > option.cost:
        return False
    return (
        other.capacity is None
        or (option.capacity is not None and option.capacity <= other.capacity)
        or (other.capacity >= len(option.serves))
    )


def _apart(elements: tuple[int, ...], options: dict[int, Option]) -> tuple[int, ...]:
    """Return elements of which no option serves two, as many as a simple choice finds: the least linked first."""
    linked = {one: frozenset().union(*(o.serves for o in options.values() if one in o.serves)) for one in elements}
    best: tuple[int, ...] = ()
    for first in elements:
        taken = [first]
        for one in sorted(elements, key=lambda one: (len(linked[one]), one)):
            if all(one not in linked[other] for other in taken):
                taken.append(one)
        best = max(best, tuple(sorted(taken)), key=len)
    return best


def _match(
    elements: tuple[int, ...],
    chosen: tuple[int, ...],
    options: dict[int, Option],
    rank: Callable[[int, int], int] | None = None,
) -> tuple[dict[int, int], frozenset[int]]:
    """Place as many elements as possible into the chosen builds.

    Returns:
        The slot of each placed element; and, when one could not be placed, the elements it competes with (itself
        included): a cover with more builds must add one that serves some of them.
    """
    rooms = [options[number].room for number in chosen]
    held: list[list[int]] = [[] for _ in chosen]
    placed: dict[int, int] = {}
    stuck: frozenset[int] = frozenset()

    def slots(one: int) -> list[int]:
        fitting = [slot for slot, number in enumerate(chosen) if one in options[number].serves]
        return fitting if rank is None else sorted(fitting, key=lambda slot: (rank(one, chosen[slot]), slot))

    def place(one: int, reached: set[int], visited: set[int]) -> bool:
        """Find room for an element, moving others along a chain where that makes some (Kuhn's algorithm)."""
        reached.add(one)
        for slot in slots(one):
            if slot in visited:
                continue
            visited.add(slot)
            if len(held[slot]) < rooms[slot] or any(place(other, reached, visited) for other in tuple(held[slot])):
                if one in placed:
                    held[placed[one]].remove(one)
                held[slot].append(one)
                placed[one] = slot
                return True
        return False

    for element in elements:
        reached: set[int] = set()
        if not place(element, reached, set()) and not stuck:
            stuck = frozenset(reached)
    return placed, stuck
