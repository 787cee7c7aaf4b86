"""From chosen builds to jobs: names, plans, and which of them hands over the runtime."""

from __future__ import annotations

from collections import Counter

import msgspec

from buildtool.compat import resolve
from buildtool.compat.model import Plan, Request
from buildtool.compat.versions import Release
from buildtool.errors import DataError
from buildtool.matrix.estimate import estimate
from buildtool.matrix.model import Job, Wish
from buildtool.matrix.platforms import Site
from buildtool.matrix.ways import Way


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One build of the smallest set, before it has a name and a plan."""

    way: Way
    targets: tuple[str, ...]
    cards: tuple[str, ...]
    share: float
    reason: str
    notes: tuple[str, ...]


def make_jobs(
    wish: Wish, found: tuple[Site, ...], pieces: tuple[Piece, ...]
) -> tuple[tuple[Job, ...], tuple[Plan, ...]]:
    """Return the jobs in the order they run, and the plan of each.

    Raises:
        DataError: the engine plans another build than the one that was chosen; the tables contradict themselves.
    """
    sites = {site.platform.name: site for site in found}
    ordered = sorted(pieces, key=_place)
    names = _names(ordered)
    plans = tuple(_plan(wish, sites[piece.way.platform], piece) for piece in ordered)
    owners = _runtime_owners(ordered)
    jobs = tuple(
        _job(wish, sites[piece.way.platform], piece, plan, name, runtime=number in owners)
        for number, (piece, plan, name) in enumerate(zip(ordered, plans, names, strict=True))
    )
    return jobs, plans


def _place(piece: Piece) -> tuple[object, ...]:
    return (piece.way.os, _order(piece.way), tuple(target_number(name) for name in piece.targets), piece.targets)


def target_number(name: str) -> int:
    """Return the number in a target's name, for sorting; 0 without one."""
    digits = "".join(filter(str.isdigit, name))
    return int(digits) if digits else 0


def _order(way: Way) -> tuple[int, tuple[int, ...]]:
    backends = ("cpu", "vulkan", "cuda", "rocm")
    release = Release.read(way.version)
    return (backends.index(way.backend), release.numbers if release is not None else ())


def _names(pieces: list[Piece]) -> list[str]:
    """Name jobs by system and backend; several of one kind are numbered."""
    plain = []
    for piece in pieces:
        release = Release.read(piece.way.version)
        major = "" if piece.way.backend in {"vulkan", "cpu"} or release is None else str(release.major)
        plain.append(f"{piece.way.os}-{piece.way.backend}{major}")
    totals, seen, names = Counter(plain), Counter[str](), []
    for name in plain:
        seen[name] += 1
        names.append(f"{name}-{seen[name]}" if totals[name] > 1 else name)
    return names


def _runtime_owners(pieces: list[Piece]) -> frozenset[int]:
    """Choose the job that hands over the runtime of each system and source: the one with the oldest C library."""
    best: dict[tuple[str, str], tuple[tuple[int, ...], int]] = {}
    for number, piece in enumerate(pieces):
        libc = Release.read(piece.way.glibc)
        key = (libc.numbers if libc is not None else (), number)
        kind = (piece.way.os, piece.way.source)
        best[kind] = min(best.get(kind, key), key)
    return frozenset(number for _, number in best.values())


def _plan(wish: Wish, site: Site, piece: Piece) -> Plan:
    way = piece.way
    exact = way.kind in {"cuda", "rocm"}
    plan = resolve(
        Request(
            backend=way.backend,
            targets=piece.targets,
            toolkit=f"{way.kind}=={way.version}" if exact else None,
            source=wish.source or way.source,
            profile=wish.profile,
        ),
        site.host,
    )
    if exact and (plan.toolkit is None or plan.toolkit.version != way.version):
        what = f"{way.toolkit} was chosen for {', '.join(piece.targets)}, but the engine plans another toolkit."
        raise DataError(what, hint="Please report it.")
    return plan


def _job(wish: Wish, site: Site, piece: Piece, plan: Plan, name: str, *, runtime: bool) -> Job:
    known = estimate(piece.way.backend, wish.profile)
    count = len(piece.targets)
    return Job(
        name=name,
        platform=site.platform.name,
        os=site.platform.os,
        backend=piece.way.backend,
        targets=plan.targets or piece.targets,
        toolkit=piece.way.toolkit,
        provider=piece.way.provider,
        source=plan.source.name,
        profile=wish.profile,
        cards=piece.cards,
        reason="; ".join((piece.reason, *piece.notes)),
        share=piece.share,
        minutes=known.minutes(count, wish.cores),
        megabytes=known.megabytes(count),
        measured=bool(known.measured) and known.profile == wish.profile,
        glibc=piece.way.glibc,
        runtime=runtime,
        digest=plan.digest(),
        proved=site.platform.proved,
    )
