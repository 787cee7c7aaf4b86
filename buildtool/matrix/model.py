"""A matrix: the jobs that serve a list of cards, why each is needed, and what cannot be served."""

from __future__ import annotations

from typing import Literal

import msgspec

from buildtool.compat.model import Backend, Plan, Profile

SCHEMA = 1


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the matrix is for.

    Attributes:
        cards: names as written, each with its weight (a share, a count; 1 when nobody said).
        systems: systems to serve (``linux-x86_64``) or platforms by name; ``here`` is this machine.
        backends: which may be used; a card is served by its vendor's own where that is possible.
        also: backends to build besides, for any machine.
        toolkits: wishes such as ``cuda==13.*``; every toolkit when empty.
        glibc: oldest C library on which the wheels must start; "" for any.
        driver: oldest NVIDIA driver that must run them; "" for any.
        most_jobs, most_mb, most_minutes: limits: jobs of the matrix, megabytes of a wheel, minutes of a job.
        cores: of the machine a job runs on.
        source: of the recipe; None for the best that can be built.
        partial: leave out what cannot be served instead of refusing.
    """

    cards: tuple[tuple[str, float], ...]
    systems: tuple[str, ...] = ("linux-x86_64",)
    backends: tuple[Backend, ...] = ("cuda", "rocm", "vulkan")
    also: tuple[Backend, ...] = ()
    toolkits: tuple[str, ...] = ()
    profile: Profile = "portable"
    source: str | None = None
    glibc: str = ""
    driver: str = ""
    most_jobs: int | None = None
    most_mb: int | None = None
    most_minutes: int | None = None
    cores: int = 4
    partial: bool = False


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One build of the matrix.

    Attributes:
        name: unique, fit for a file name.
        platform: where it runs, a row of ``platforms.toml``.
        os: what it makes wheels for.
        toolkit: such as ``cuda 13.0.88``; "" without one.
        provider: how the toolkit comes: ``pypi``, ``rootfs``, ``system``; "" without one.
        cards: names of the list that it serves.
        reason: why it is needed, and why nothing smaller does.
        share: weight of its cards in the list, in percent.
        minutes, megabytes: estimates; `measured` tells whether they rest on a measurement.
        glibc: C library that the wheel may need at most; its tag tells exactly.
        runtime: whether this job hands over the runtime wheel too; one job of each system and source does.
        digest: of its plan.
        proved: whether a build was ever run on this platform.
    """

    name: str
    platform: str
    os: str
    backend: Backend
    targets: tuple[str, ...]
    toolkit: str
    provider: str
    source: str
    profile: Profile
    cards: tuple[str, ...]
    reason: str
    share: float
    minutes: int
    megabytes: int
    measured: bool
    glibc: str
    runtime: bool
    digest: str
    proved: bool

    @property
    def cache_key(self) -> str:
        """Key of a CI provider's cache for exactly this plan; its first part fits earlier plans of the job."""
        return f"{self.cache_prefix}{self.digest[:16]}"

    @property
    def cache_prefix(self) -> str:
        """What the cache keys of all plans of this job begin with."""
        return f"gpubuild-{self.name}-"

    @property
    def artefact(self) -> str:
        """Name under which its wheels are handed over."""
        return f"wheels-{self.name}"


class Unserved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card that no build serves on a system, and the proof: what rules out each way."""

    card: str
    os: str
    kind: Literal["no-build", "no-machine"]
    why: tuple[str, ...]


class Matrix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer; `plans` are the jobs' locks, in the order of `jobs`.

    Attributes:
        fewest: builds that are needed at least; equal to the number of jobs.
        proof: why there cannot be fewer, a line for each independent part.
        unserved: what no job serves.
    """

    schema: int = SCHEMA
    jobs: tuple[Job, ...]
    fewest: int
    proof: tuple[str, ...]
    unserved: tuple[Unserved, ...]
    plans: tuple[Plan, ...] = ()
