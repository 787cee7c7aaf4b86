"""From cards and limits to the smallest matrix: what has to be served, by which ways, and the fewest builds."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from buildtool.compat.cards import Card, all_unknown, find_cards
from buildtool.compat.model import Backend
from buildtool.compat.targets import Target
from buildtool.compat.versions import Release
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.matrix.cover import Option, Part, cover
from buildtool.matrix.estimate import estimate
from buildtool.matrix.jobs import Piece, make_jobs, target_number
from buildtool.matrix.model import Matrix, Unserved, Wish
from buildtool.matrix.platforms import Site
from buildtool.matrix.ways import NAMES, Judged, Way, judge_all, no_machine, room_of


class Element(msgspec.Struct, frozen=True, order=True):
    """Something that must be served: a target, or (without one) any machine, by one backend on one system."""

    os: str
    backend: Backend
    target: str

    def __str__(self) -> str:
        return self.target or NAMES[self.backend]


class _Demand:
    """What has to be served, found card by card."""

    def __init__(self, wish: Wish, found: tuple[Site, ...]) -> None:
        self.wish = wish
        self.sites: dict[str, tuple[Site, ...]] = {}
        for site in found:
            self.sites[site.platform.os] = (*self.sites.get(site.platform.os, ()), site)
        self.cards: dict[Element, dict[str, float]] = {}
        self.judged: dict[Element, Judged] = {}
        self.notes: dict[Element, tuple[str, ...]] = {}
        self.unserved: list[Unserved] = []

    def judge(self, os: str, backend: Backend, target: Target | None) -> tuple[Element, Judged]:
        element = Element(os, backend, str(target or ""))
        if element not in self.judged:
            self.judged[element] = judge_all(self.wish, self.sites[os], backend, target)
        return element, self.judged[element]

    def want(self, os: str, card: Card, weight: float) -> None:
        """Find what serves a card on a system: its vendor's own backend, else Vulkan."""
        against: list[str] = []
        if card.target is not None:
            missing = no_machine(card.target, os)
            if missing:
                self.unserved.append(Unserved(card=card.name, os=os, kind="no-machine", why=(missing,)))
                return
            if card.target.platform in self.wish.backends:
                element, judged = self.judge(os, card.target.platform, card.target)
                if judged.ways:
                    self._add(element, card.name, weight)
                    return
                against += judged.against
        if card.name == "cpu":
            self.must(os, "cpu", weight)
            return
        if "vulkan" in self.wish.backends and card.vulkan:
            element, judged = self.judge(os, "vulkan", None)
            if judged.ways:
                self._add(element, card.name, weight)
                if against:
                    self.notes[element] = (*self.notes.get(element, ()), f"{card.name}: {'; '.join(against)}")
                return
            against += judged.against
        elif card.vulkan:
            against.append("Vulkan is not among the backends asked for")
        else:
            against.append("it has no Vulkan driver")
        self.unserved.append(Unserved(card=card.name, os=os, kind="no-build", why=tuple(dict.fromkeys(against))))

    def must(self, os: str, backend: Backend, weight: float = 0.0) -> None:
        """Ask for a backend for any machine of a system."""
        element, judged = self.judge(os, backend, None)
        if judged.ways:
            self._add(element, NAMES[backend], weight)
            return
        self.unserved.append(Unserved(card=NAMES[backend], os=os, kind="no-build", why=judged.against))

    def _add(self, element: Element, card: str, weight: float) -> None:
        names = self.cards.setdefault(element, {})
        names[card] = names.get(card, 0.0) + weight


def solve(wish: Wish, found: tuple[Site, ...]) -> Matrix:
    """Compute the smallest matrix.

    Args:
        wish: cards and limits.
        found: the sites of the wished systems.

    Raises:
        UnknownNameError: cards nobody knows, all of them named.
        InvalidInputError: nothing to serve.
        IncompatibleError: a card cannot be served within the limits, or more jobs are needed than allowed.
    """
    demand = _Demand(wish, found)
    cards = _known(wish)
    for os in demand.sites:
        for card, weight in cards:
            demand.want(os, card, weight)
        for backend in wish.also:
            demand.must(os, backend)
    _refuse_unserved(demand.unserved, wish)
    if not demand.cards:
        what = "There is nothing to build: no card that was named exists on a system that was named."
        raise InvalidInputError(what, details=tuple(f"{one.card}: {'; '.join(one.why)}" for one in demand.unserved))
    elements = tuple(sorted(demand.cards, key=lambda one: (one.os, one.backend, target_number(one.target), one.target)))
    ways = tuple(sorted({way for one in elements for way in demand.judged[one].ways}, key=str))
    ranks = {site.platform.name: site.platform.rank for site in found}
    options = tuple(_option(way, elements, demand, ranks) for way in ways)
    parts = cover(range(len(elements)), options, lambda one, way: demand.judged[elements[one]].ways[ways[way]])
    total = sum(weight for _, weight in cards) or 1.0
    pieces = tuple(_pieces(parts, elements, ways, demand, total))
    fewest = sum(len(part.builds) for part in parts)
    if wish.most_jobs is not None and fewest > wish.most_jobs:
        raise _too_many(fewest, wish.most_jobs, pieces)
    jobs, plans = make_jobs(wish, found, pieces)
    proof = tuple(_proof(part, elements) for part in parts)
    return Matrix(jobs=jobs, fewest=fewest, proof=proof, unserved=tuple(demand.unserved), plans=plans)


def _known(wish: Wish) -> tuple[tuple[Card, float], ...]:
    cards: list[tuple[Card, float]] = []
    errors: list[UnknownNameError] = []
    for name, weight in wish.cards:
        try:
            found = find_cards(name)
        except UnknownNameError as error:
            errors.append(error)
            continue
        cards += [(card, weight / len(found)) for card in found]
    if errors:
        raise all_unknown(errors)
    if not cards and not wish.also:
        what = "No card was named."
        raise InvalidInputError(what, hint='Name them: gpubuild matrix --cover "RTX 3060, RX 6600"')
    return tuple(cards)


def _refuse_unserved(unserved: list[Unserved], wish: Wish) -> None:
    lost = [one for one in unserved if one.kind == "no-build"]
    if not lost or wish.partial:
        return
    names = ", ".join(dict.fromkeys(one.card for one in lost))
    what = f"No build serves {names} within these limits."
    details = tuple(f"{one.card} ({one.os}): {reason}" for one in lost for reason in one.why)
    hint = "Loosen a limit, allow another backend (--backends), or leave such cards out with --partial."
    raise IncompatibleError(what, hint=hint, details=details)


def _option(way: Way, elements: tuple[Element, ...], demand: _Demand, ranks: dict[str, int]) -> Option:
    """Return a way as the solver sees it; of equal ways the engine's choice wins, then the first platform."""
    serving = [number for number, one in enumerate(elements) if way in demand.judged[one].ways]
    rank = max(demand.judged[elements[number]].ways[way] for number in serving)
    seconds = estimate(way.backend, demand.wish.profile).base_s
    libc = Release.read(way.glibc)
    glibc = libc.minor[0] * 1000 + libc.minor[1] if libc is not None else 0
    return Option(
        serves=frozenset(serving),
        capacity=room_of(demand.wish, way.backend),
        cost=(seconds, ranks[way.platform], rank, glibc),
    )


def _pieces(
    parts: tuple[Part, ...], elements: tuple[Element, ...], ways: tuple[Way, ...], demand: _Demand, total: float
) -> Iterator[Piece]:
    for part in parts:
        for build in part.builds:
            mine = [elements[number] for number in build.elements]
            cards = {card: weight for one in mine for card, weight in demand.cards[one].items()}
            alone = [str(elements[number]) for number in build.elements if number in part.apart]
            yield Piece(
                way=ways[build.option],
                targets=tuple(one.target for one in mine if one.target),
                cards=tuple(cards),
                share=round(100 * sum(cards.values()) / total, 1),
                reason=_reason(alone, len(part.builds), part),
                notes=tuple(note for one in mine for note in demand.notes.get(one, ())),
            )


def _reason(alone: list[str], builds: int, part: Part) -> str:
    if builds == 1:
        return "one build serves all of these"
    if alone and builds == len(part.apart):
        return f"{alone[0]} and the targets of the other builds have no toolkit in common"
    return f"{len(part.elements)} targets do not fit into fewer builds within the limits"


def _proof(part: Part, elements: tuple[Element, ...]) -> str:
    first = elements[part.elements[0]]
    where = f"{first.os} {NAMES[first.backend]}"
    count = len(part.builds)
    if count == 1:
        return f"{where}: 1 build, and something must be built"
    if count == len(part.apart):
        names = ", ".join(str(elements[number]) for number in part.apart)
        return f"{where}: {count} builds, since no build can serve two of {names}"
    if count == part.fewest_by_room:
        return (
            f"{where}: {count} builds, since {len(part.elements)} targets do not fit into {count - 1} within the limits"
        )
    return f"{where}: {count} builds; all smaller sets were ruled out ({part.nodes} sets looked at)"


def _too_many(fewest: int, most: int, pieces: tuple[Piece, ...]) -> IncompatibleError:
    what = f"{fewest} jobs are needed, at most {most} are allowed."
    details = tuple(
        f"{piece.way.os} {NAMES[piece.way.backend]} {piece.way.version}: {', '.join(piece.cards)}" for piece in pieces
    )
    hint = f"Allow {fewest} (--max-jobs {fewest}), or leave out the cards of {fewest - most} of these builds."
    return IncompatibleError(what, why="There is no smaller set of builds.", hint=hint, details=details)
