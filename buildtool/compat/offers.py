"""The nearest plans that do work, each with what one gives up and what has to be installed first."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from buildtool.compat import tables
from buildtool.compat.case import BACKENDS, Case
from buildtool.compat.conflict import Fact
from buildtool.compat.model import Request
from buildtool.compat.rules import (
    BACKEND,
    COMPILER,
    DRIVER,
    HERE,
    KERNELS,
    KNOWN,
    KNOWN_BAD,
    LIBC,
    NEED,
    TOOLKIT,
    Candidate,
    compiler_needs,
    oldest_driver,
    runs_on,
    target_fact,
)
from buildtool.compat.targets import Target
from buildtool.compat.versions import Release
from buildtool.probe.model import Host
from buildtool.shell import command_line

NAMES = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "cpu": "CPU"}
MOST_OFFERS = 5
FIXED = frozenset({NEED, LIBC, KNOWN, KERNELS, KNOWN_BAD})  # nothing the user can change here and now
OFFERS_PER_BACKEND = 3


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that has to be installed first: in words, and the command for it; one of the two may be ""."""

    words: str = ""
    command: str = ""

    def __str__(self) -> str:
        return f"{self.words} ({self.command})" if self.words and self.command else self.words or self.command


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that works instead.

    Attributes:
        title: what it is, such as ``CUDA 12.9``.
        command: the command that plans it.
        lost: what one gives up.
        steps: what has to be installed before.
    """

    title: str
    command: str
    lost: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def first(self) -> str:
        """What has to be installed before, in one line."""
        return ", ".join(map(str, self.steps))

    @property
    def words(self) -> str:
        """All of it in one line."""
        lost = f" (gives up {self.lost})" if self.lost else ""
        return f"{self.title}{lost}: {self.hint}"

    @property
    def hint(self) -> str:
        """What to do, in order."""
        return f"{self.first}; then {self.command}" if self.first else self.command


def nearest(case: Case, tried: tuple[Candidate, ...]) -> tuple[Offer, ...]:
    """Return up to five offers, the nearest first: fewest wishes given up, then least to install."""
    found: list[Offer] = []
    for backend in sorted(BACKENDS, key=lambda one: (one != case.backend, BACKENDS.index(one))):
        found += _offers_of(case, [one for one in tried if one.backend == backend])
    return tuple(found[:MOST_OFFERS])


def _offers_of(case: Case, tried: list[Candidate]) -> list[Offer]:
    usable = [one for one in tried if not one.broken & FIXED and _keeps_something(case, one)]
    ranked = sorted(enumerate(usable), key=lambda pair: (_cost(pair[1]), pair[0]))
    found: list[Offer] = []
    seen: list[frozenset[Fact]] = []
    for _, one in ranked:
        if any(broken <= one.broken for broken in seen):
            continue
        seen.append(one.broken)
        found.append(_offer(case, one))
    return found[:OFFERS_PER_BACKEND]


def _keeps_something(case: Case, one: Candidate) -> bool:
    """Whether the offer still serves a GPU in question, or is a fallback for any machine."""
    if one.backend in {"vulkan", "cpu"}:
        return not case.targets or any(runs_on(target, case.platform) for target in case.targets)
    if one.backend != case.backend and not any(target.platform == one.backend for target in case.targets):
        return False
    return not case.targets or any(target_fact(target) not in one.broken for target in case.targets)


def _cost(one: Candidate) -> tuple[int, int]:
    given_up = [fact for fact in one.broken if fact.kind == "wish"]
    return (len(given_up), len(one.broken) - len(given_up))


def _offer(case: Case, one: Candidate) -> Offer:
    kept = tuple(target for target in case.targets if target_fact(target) not in one.broken)
    return Offer(
        title=_title(one),
        command=command_line(_command(case, one, kept), case.host.os.system),
        lost=_lost(case, one, kept),
        steps=tuple(_first(case, one)),
    )


def _title(one: Candidate) -> str:
    option = one.option
    if option is None:
        return "CPU"
    if option.kind == "vulkan":
        return "Vulkan"
    return f"{NAMES[option.kind]} {option.version}"


def _command(case: Case, one: Candidate, kept: tuple[Target, ...]) -> list[str]:
    words = ["gpubuild", "plan", "--backend", one.backend]
    if kept and one.backend not in {"vulkan", "cpu"}:
        words += ["--target", ";".join(map(str, kept))]
    if case.toolkit is not None and one.option is not None and one.option.kind in {"cuda", "rocm"}:
        wish = str(case.toolkit) if TOOLKIT not in one.broken else f"{one.option.kind}=={_release(one)}.*"
        words += ["--toolkit", wish]
    return words + (["--base", "recipe"] if case.base else []) + other_wishes(case.request)


def other_wishes(asked: Request) -> list[str]:
    """Return the options of a wish that say nothing about backend, targets or toolkit."""
    words = ["--recipe", asked.recipe] if asked.recipe != "llama.cpp" else []
    words += ["--source", asked.source] if asked.source else []
    words += ["--profile", asked.profile] if asked.profile != "portable" else []
    words += ["--runtime", asked.runtime] if asked.runtime != "pip" else []
    words += ["--thin-vendor"] if asked.thin_vendor else []
    return words + (["--in", asked.inside] if asked.inside else [])


def _release(one: Candidate) -> str:
    return ".".join(map(str, one.option.release.minor)) if one.option is not None else ""


def _lost(case: Case, one: Candidate, kept: tuple[Target, ...]) -> str:
    lost: list[str] = []
    if BACKEND in one.broken:
        lost.append({"cpu": "the GPU", "vulkan": NAMES[case.backend]}.get(one.backend, NAMES[case.backend]))
    elif TOOLKIT in one.broken:
        lost.append(str(case.toolkit))
    if one.backend not in {"vulkan", "cpu"}:
        lost += [str(target) for target in case.targets if target not in kept]
    return ", ".join(lost)


def _first(case: Case, one: Candidate) -> Iterator[Step]:
    option = one.option
    if HERE in one.broken and option is not None and option.place is not None:
        yield _install_step(case, one, option.place)
    if COMPILER in one.broken:
        yield _compiler_step(case, one)
    if DRIVER in one.broken and option is not None:
        oldest = oldest_driver(option.release, case.host.os.system)
        yield Step(words=f"update the NVIDIA driver to {oldest} or newer" if oldest else "update the NVIDIA driver")


def _install_step(case: Case, one: Candidate, place: tables.Place) -> Step:
    if case.host.image is not None:
        return Step(words=f"take an image that has {_title(one)}")
    if place.kind == "vulkan":
        row = next((row for row in tables.package_names() if case.host.os.id in row.os), None)
        if row is None:
            return Step(words=f"install the Vulkan SDK of {place.where}")
        since, here = Release.read(row.vulkan_since.get(case.host.os.id)), Release.read(case.host.os.version)
        if since is not None and here is not None and here < since:
            words = "its own Vulkan is too old; with mmdebstrap installed, gpubuild makes a newer one itself"
            return Step(words=words, command="apt-get install mmdebstrap")
        return Step(command=row.vulkan)
    return Step(words=f"install {_title(one)} from {place.where}", command=place.command)


def _compiler_step(case: Case, one: Candidate) -> Step:
    row = one.option.cuda if one.option is not None else None
    if row is None:
        return Step(words="install a newer C++ compiler")
    oldest = max(row.gcc[0], *(need.at_least for need in compiler_needs(case, one.source, "gcc")))
    name = f"GCC {oldest}" if oldest == row.gcc[1] else f"GCC {oldest} to {row.gcc[1]}"
    return Step(words=f"install {name}", command=gcc_command(case.host, oldest, row.gcc[1]))


def any_compiler_step(host: Host) -> Step:
    """Return what installs a C++ compiler on a machine that has none."""
    row = next((one for one in tables.package_names() if (host.os.id or host.os.system) in one.os), None)
    return Step(command=row.cxx) if row is not None else Step(words="install g++ (with gcc), or clang++ (with clang)")


def gcc_command(host: Host, oldest: int, newest: int) -> str:
    """Return what installs the newest GCC of a span here; "" where no package is known."""
    for row in tables.compiler_packages():
        fitting = [major for major in row.gcc if oldest <= major <= newest]
        if (row.os, row.os_version) == (host.os.id, host.os.version) and fitting:
            return row.command.format(major=max(fitting))
    return ""
