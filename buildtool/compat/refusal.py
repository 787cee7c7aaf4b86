"""When nothing works: the facts that rule it out, in words, and what works instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.conflict import Fact, smallest_conflict
from buildtool.compat.host_words import compiler_words, libc_words
from buildtool.compat.kernels import has_kernels
from buildtool.compat.known_bad import refusing
from buildtool.compat.offers import NAMES, Step, any_compiler_step, nearest
from buildtool.compat.options import options_for
from buildtool.compat.rootfs_words import rootfs_words
from buildtool.compat.rules import (
    COMPILER,
    DRIVER,
    HERE,
    INCOMPLETE,
    INSTALLABLE,
    KERNELS,
    KNOWN,
    KNOWN_BAD,
    LIBC,
    NEED,
    TOOLKIT,
    Candidate,
    lacking,
    target_fact,
    toolkit_needs,
)
from buildtool.compat.target_words import target_words
from buildtool.compat.versions import Release, suggest
from buildtool.errors import GpubuildError, IncompatibleError, MissingToolError, UnknownNameError


class InstallFirstError(MissingToolError):
    """It can be built once something is installed; `steps` tells what, for the nearest plan."""

    def __init__(
        self, what: str, *, steps: tuple[Step, ...], why: str = "", hint: str = "", details: tuple[str, ...] = ()
    ) -> None:
        """Keep the steps beside the words."""
        super().__init__(what, why=why, hint=hint, details=details)
        self.steps = steps


Part = tuple[Case, tuple[Candidate, ...]]


def refuse(case: Case, tried: tuple[Candidate, ...], parts: Iterable[Part] = ()) -> GpubuildError:
    """Return the error for a case in which every candidate breaks a fact.

    Args:
        case: the wish on its machine.
        tried: every candidate, judged.
        parts: the same for each of several targets by itself; looked at only when builds apart may be the answer.

    Returns:
        InstallFirstError when installing something is enough, IncompatibleError when a wish has to change.
    """
    if not case.compilers:
        return _no_compiler(case)
    unknown = _unknown_toolkit(case)
    if unknown is not None:
        return unknown
    offers = nearest(case, tried)
    own_offer = bool(offers) and offers[0].title.startswith(NAMES[case.backend])
    apart = () if own_offer else _apart(case, parts)
    works = (f"works: {offer.words}" for offer in offers)
    details = (*apart, *works, *rootfs_words(case), *_elsewhere(case))
    hint = (
        offers[0].hint if offers else f"Run gpubuild on the machine that has it: gpubuild plan --backend {case.backend}"
    )
    own = [one.broken for one in tried if one.backend == case.backend]
    why = _why(case, smallest_conflict(own), tried)
    within = [facts for facts in own if facts <= INSTALLABLE]
    if within:
        what = _missing_words(case, min(within, key=_count))
        steps = offers[0].steps if offers else ()
        return InstallFirstError(what, steps=steps, why=why, hint=hint, details=details)
    return IncompatibleError(f"{_wish_words(case)} cannot be built.", why=why, hint=hint, details=details)


def _apart(case: Case, parts: Iterable[Part]) -> tuple[str, ...]:
    """Offer a build for each target by itself that has one with this backend."""
    words: list[str] = []
    for part, tried in parts:
        offer = next(iter(nearest(part, tried)), None)
        if offer is not None and not offer.lost:
            lost = ", ".join(str(target) for target in case.targets if target not in part.targets)
            words.append(f"works: {msgspec.structs.replace(offer, lost=lost).words}")
    return tuple(words)


def _elsewhere(case: Case) -> tuple[str, ...]:
    """Say which other systems carry a toolkit for all targets; useful for a container or another machine."""
    if case.backend != "cuda" or not case.targets:
        return ()
    knowing = [row for row in tables.cuda_toolkits() if {str(one) for one in case.targets} <= {*row.targets}]
    found = [
        f"CUDA {row.version}: {place.where}"
        for row in knowing
        for place in tables.places()
        if place.kind == "cuda" and place.os and place.has(row.version)
    ]
    targets = ", ".join(map(str, case.targets))
    return (f"carried by others for {targets}: {'; '.join(found)}",) if found else ()


def _count(facts: frozenset[Fact]) -> tuple[int, list[Fact]]:
    return len(facts), sorted(facts)


def _wish_words(case: Case) -> str:
    targets = ", ".join(map(str, case.targets))
    words = f"The {NAMES[case.backend]} backend" + (f" for {targets}" if targets else "")
    return words + (f" with {case.toolkit}" if case.toolkit is not None else "")


def _missing_words(case: Case, facts: frozenset[Fact]) -> str:
    if HERE not in facts:
        return f"{_wish_words(case)} needs a host compiler that is not installed."
    words = "gpubuild fetches none" if case.backend == "vulkan" else "gpubuild can fetch none that fits"
    kind = "Vulkan SDK" if case.backend == "vulkan" else f"{NAMES[case.backend]} toolkit"
    return f"{_wish_words(case)} needs a {kind} that is not installed, and {words}."


def _why(case: Case, facts: Iterable[Fact], tried: tuple[Candidate, ...]) -> str:
    sentences = [_fact_words(case, fact, tried) for fact in facts]
    return " ".join(sentence for sentence in sentences if sentence)


def _fact_words(case: Case, fact: Fact, tried: tuple[Candidate, ...]) -> str:
    target = next((one for one in case.targets if fact == target_fact(one)), None)
    if target is not None:
        return target_words(case, target)
    if fact == COMPILER:
        return compiler_words(case, tried)
    if fact == LIBC:
        return libc_words(case, tried)
    return _WORDS[fact](case)


def _kernels_words(case: Case) -> str:
    sentences: list[str] = []
    options = [one for one in options_for("rocm", case.host) if one is not None and one.place is not None]
    on_windows = " for Windows" if case.platform.startswith("windows") else ""
    for target in case.targets:
        having = sorted({one.release for one in options if has_kernels(case, one, target)})
        if not having:
            sentences.append(f"No ROCm release{on_windows} has rocBLAS kernels for {target}.")
        elif len(having) < len({one.release for one in options}):
            span = str(having[0]) if len(having) == 1 else f"{having[0]} to {having[-1]}"
            sentences.append(f"rocBLAS kernels for {target} are in ROCm {span}{on_windows} only.")
    for made in options_for("rocm", case.host):
        without = [
            str(one) for one in case.targets if made is not None and made.rootfs and not has_kernels(case, made, one)
        ]
        if made is not None and without:
            words = "nor for a processor with the same instructions: --runtime system takes another's"
            sentences.append(f"Debian's rocBLAS of ROCm {made.version} has none for {', '.join(without)}, {words}.")
    return " ".join(sentences)


def _known_bad_words(case: Case) -> str:
    rows = {
        row.id: row
        for option in options_for(case.backend, case.host)
        if option is not None
        for row in refusing(option, case.target_names, case.host)
    }
    return " ".join(f"{row.what} (seen as: {row.error})." for row in rows.values())


def _known_words(case: Case) -> str:
    newest = tables.cuda_toolkits()[-1].version
    return f"The installed {NAMES[case.backend]} is not in gpubuild's tables, which end with {newest}."


def _toolkit_words(case: Case) -> str:
    wish = case.toolkit
    if wish is None:
        return ""
    if wish.kind != case.backend:
        return f"You asked for {wish}, which the {NAMES[case.backend]} backend does not use."
    if wish.kind != "cuda":
        return f"You asked for {wish}."
    rows = [row for row in tables.cuda_toolkits() if wish.admits(row.version)]
    if not rows:
        return f"You asked for {wish}."
    first, last = rows[0].targets[0], _plain(rows[-1].targets)[-1]
    span = rows[0].version if len(rows) == 1 else f"{rows[0].version} to {rows[-1].version}"
    return f"You asked for {wish}; CUDA {span} knows {first} to {last}."


def _plain(targets: tuple[str, ...]) -> list[str]:
    return [name for name in targets if name[-1].isdigit()]


def _need_words(case: Case) -> str:
    rows = toolkit_needs(case, case.sources[0], case.backend)
    return " ".join(f"{case.recipe.name} needs {row.wish}: {row.reason}." for row in rows)


def _here_words(case: Case) -> str:
    installed = sorted(f"{one.version} in {one.path}" for one in case.host.toolkits if one.kind == case.backend)
    name = NAMES[case.backend]
    words = f"Installed: {name} {', '.join(installed)}." if installed else f"No {name} is installed."
    fetched = sorted(
        {one.release.minor for one in options_for(case.backend, case.host) if one is not None and one.wheels}
    )
    if fetched:
        span = [".".join(map(str, end)) for end in (fetched[0], fetched[-1])]
        words += f" gpubuild can fetch CUDA {span[0]} to {span[1]}."
    return words


def _incomplete_words(case: Case) -> str:
    found = [
        f"{NAMES[case.backend]} {one.version} in {one.path} has no {' and no '.join(lacking(case, one))}"
        for one in case.host.toolkits
        if lacking(case, one)
    ]
    return f"{'; '.join(sorted(found))}: the {NAMES[case.backend]} backend is linked with that." if found else ""


def _driver_words(case: Case) -> str:
    driver = case.driver
    if driver is None:
        return ""
    offers = f", which offers CUDA {case.offered}" if case.offered is not None else ""
    return f"The NVIDIA driver here is {driver.version}{offers}; a newer CUDA major needs a newer driver."


def _no_compiler(case: Case) -> MissingToolError:
    step = any_compiler_step(case.host)
    odd = ", ".join(sorted(one.cxx for one in case.host.host_compilers))
    where = f"in {case.host.image.name}" if case.host.image is not None else "on this machine"
    what = f"No C++ compiler was found {where}."
    why = "llama.cpp is C++, and nvcc needs a host compiler too."
    if odd:
        what = f"No usable C++ compiler was found: {odd} tells no version, or has no C compiler beside it."
    return InstallFirstError(what, steps=(step,), why=why, hint=str(step))


def _unknown_toolkit(case: Case) -> UnknownNameError | None:
    wish = case.toolkit
    if wish is None or wish.kind == "vulkan":
        return None
    rows = tables.cuda_toolkits() if wish.kind == "cuda" else tables.rocm_releases()
    names = [row.version for row in rows]
    found = [one for one in options_for("cuda" if wish.kind == "cuda" else "rocm", case.host) if one is not None]
    if any(wish.admits(name) for name in names) or any(wish.admits(*one.names) for one in found):
        return None
    what = f"Nobody knows a toolkit {wish}."
    offered = sorted({name for one in found if one.offered is not None for name in one.names}, key=Release.parse)
    near = suggest(wish.specifier.lstrip("=<>~! "), offered, cutoff=0.7)
    hint = f"Did you mean {wish.kind}=={near[0]}? " if near else ""
    return UnknownNameError(what, hint=f"{hint}Known {NAMES[wish.kind]} releases: {', '.join(names)}.")


_WORDS: dict[Fact, Callable[[Case], str]] = {
    TOOLKIT: _toolkit_words,
    NEED: _need_words,
    HERE: _here_words,
    INCOMPLETE: _incomplete_words,
    KNOWN: _known_words,
    KERNELS: _kernels_words,
    KNOWN_BAD: _known_bad_words,
    DRIVER: _driver_words,
}
