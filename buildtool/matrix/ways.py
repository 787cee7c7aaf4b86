"""Every way to build something for a card: judged by the compatibility engine, within the limits of the matrix."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from buildtool.compat.case import make_case
from buildtool.compat.engine import candidates
from buildtool.compat.model import Backend, Request
from buildtool.compat.options import ToolkitOption
from buildtool.compat.refusal import refuse
from buildtool.compat.rules import Candidate, oldest_driver, runs_on
from buildtool.compat.targets import Target
from buildtool.compat.versions import Release, parse_wish
from buildtool.errors import GpubuildError
from buildtool.matrix.estimate import estimate
from buildtool.matrix.model import Wish
from buildtool.matrix.platforms import Site

NAMES = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "cpu": "CPU"}


class Way(msgspec.Struct, frozen=True):
    """A kind of build: where it runs, with which toolkit, from which source."""

    platform: str
    os: str
    backend: Backend
    kind: str
    version: str
    provider: str
    source: str
    glibc: str

    @property
    def toolkit(self) -> str:
        """Toolkit and version in words, "" without one."""
        return f"{self.kind} {self.version}" if self.kind else ""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to serve one target (or any machine) on one system, with their rank, and what rules out the others."""

    ways: dict[Way, int]
    against: tuple[str, ...]


def judge_all(wish: Wish, found: tuple[Site, ...], backend: Backend, target: Target | None) -> Judged:
    """Judge every way to build `backend` for a target, on sites of one system.

    Args:
        wish: its limits count.
        found: the sites.
        backend: in question.
        target: None for a backend without targets.
    """
    ways: dict[Way, int] = {}
    against: dict[str, None] = {}
    for site in found:
        request = Request(
            backend=backend, targets=(str(target),) if target is not None else (), profile=wish.profile,
            source=wish.source,
        )  # fmt: skip
        case = make_case(request, site.host)
        tried = tuple(candidates(case, backend))
        whole = [one for one in tried if not one.broken]
        if not whole:
            against[_refusal(refuse(case, tried))] = None
        for rank, one in enumerate(whole):
            way = _way(site, one)
            objections = tuple(_objections(wish, way, one.option, site))
            against |= dict.fromkeys(objections)
            if not objections:
                ways.setdefault(way, rank)
    return Judged(ways=ways, against=tuple(against))


def no_machine(target: Target, os: str) -> str:
    """Say that no machine of a system can hold a device; "" when some can."""
    return "" if runs_on(target, os) else f"no {os} machine has {target} and a driver for it"


def _refusal(error: GpubuildError) -> str:
    return error.why or error.what


def _way(site: Site, one: Candidate) -> Way:
    option = one.option
    # One that holds only tools has no compiler inside: the host's is used, with the host's C library.
    inside = option.rootfs.glibc if option is not None and option.rootfs is not None else ""
    return Way(
        platform=site.platform.name,
        os=site.platform.os,
        backend=one.backend,
        kind=option.kind if option is not None else "",
        version=option.version if option is not None else "",
        provider=option.provider if option is not None else "",
        source=one.source.plan.name,
        glibc=inside or site.platform.glibc,
    )


def _objections(wish: Wish, way: Way, option: ToolkitOption | None, site: Site) -> Iterator[str]:
    name = f"{NAMES[way.backend]} {way.version}".strip()
    wishes = [one for one in map(parse_wish, wish.toolkits) if option is not None and one.kind == option.kind]
    if option is not None and wishes and not any(one.admits(*option.names) for one in wishes):
        yield f"{name} is none of the toolkits asked for ({', '.join(map(str, wishes))})"
    if wish.glibc and way.glibc and Release.parse(way.glibc) > Release.parse(wish.glibc):
        where = "its root filesystem" if way.glibc != site.platform.glibc else way.platform
        yield f"{name} on {way.platform} may need glibc {way.glibc} ({where}), at most {wish.glibc} was asked for"
    if wish.driver and option is not None and option.kind == "cuda":
        oldest = oldest_driver(option.release, site.host.os.system)
        if oldest and Release.parse(oldest) > Release.parse(wish.driver):
            yield f"{name} needs driver {oldest}, driver {wish.driver} was asked for"
    if room_of(wish, way.backend) == 0:
        known = estimate(way.backend, wish.profile)
        megabytes, minutes = known.megabytes(1), known.minutes(1, wish.cores)
        yield f"a {NAMES[way.backend]} build for one target takes about {megabytes} MB and {minutes} minutes"


def room_of(wish: Wish, backend: Backend) -> int | None:
    """Return how many targets one build may have; None for any number."""
    known = estimate(backend, wish.profile)
    return known.capacity(cores=wish.cores, most_minutes=wish.most_minutes, most_mb=wish.most_mb)
