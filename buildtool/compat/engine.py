"""The search: from a wish and a machine to a Plan, in a documented order of preference.

The space is small (sources x toolkits), so every candidate is judged by the same rules and the best one
without a broken fact wins. When there is none, the facts that rule all of them out are explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from buildtool.compat.assemble import assemble
from buildtool.compat.bases import on_base, row_for, with_base
from buildtool.compat.case import BACKENDS, Case, make_case
from buildtool.compat.kernels import require_one_name
from buildtool.compat.model import Backend, Plan, Request
from buildtool.compat.options import ToolkitOption, options_for
from buildtool.compat.rules import Candidate, ground_of, judge
from buildtool.compat.targets import parse_target
from buildtool.compat.vendor import is_early
from buildtool.compat.versions import TOOLKITS, Release, parse_wish
from buildtool.errors import GpubuildError, IncompatibleError, InvalidInputError, MissingToolError
from buildtool.probe.model import Host

PROVIDERS = ("system", "pypi", "redist", "therock", "therock-wheels", "rootfs", "elsewhere")


def resolve(request: Request, host: Host) -> Plan:
    """Decide everything about a build.

    The answer depends on nothing but the arguments and gpubuild's own tables, and not on the order of anything
    in them. The order of preference is described in ``docs/plan.md``.

    Raises:
        UnknownNameError: a target, backend, recipe, source or toolkit nobody knows.
        InvalidInputError: a malformed wish, or nothing to build for.
        MissingToolError: it could be built, if something were installed first.
        IncompatibleError: it cannot be built; says which facts rule it out, and what works.
    """
    if request.manylinux is not None:
        row = row_for(request.manylinux, make_case(request, host).backend, host)
        inner = msgspec.structs.replace(request, manylinux=None)
        return with_base(resolve(inner, on_base(host, row)), row, request.manylinux)
    case = make_case(request, host)
    found = best(case)
    if found is None:
        from buildtool.compat.refusal import refuse

        raise refuse(case, tuple(every(case)), _parts(case))
    require_one_name(case, found.option)
    return assemble(case, found)


def _parts(case: Case) -> Iterator[tuple[Case, tuple[Candidate, ...]]]:
    """Yield the case of each of several targets by itself, with its candidates."""
    for target in case.targets if len(case.targets) > 1 else ():
        wish = msgspec.structs.replace(
            case.request, backend=case.backend, targets=(str(target),), add_targets=(), base="detected"
        )
        part = make_case(wish, case.host)
        yield part, tuple(every(part))


def resolve_all(request: Request, host: Host) -> tuple[Plan, ...]:
    """Return every plan that meets a wish, best first: one for each toolkit, of the best source it can build.

    Without a wish about the backend, plans of the other backends follow those of the preferred one.

    Raises:
        GpubuildError: as `resolve`, when there is none.
    """
    resolve(request, host)
    backends: list[Backend | Literal["auto"]] = [make_case(request, host).backend]
    if request.backend == "auto" and not request.toolkit:
        backends += [one for one in BACKENDS if one not in backends]
    return tuple(plan for backend in backends for plan in _plans(request, host, backend))


def _plans(request: Request, host: Host, backend: Backend | Literal["auto"]) -> Iterator[Plan]:
    wish = msgspec.structs.replace(request, backend=backend)
    if backend in {"vulkan", "cpu"}:
        wish = msgspec.structs.replace(wish, targets=(), add_targets=(), base="detected")
    try:
        case = make_case(wish, host)
    except InvalidInputError:  # no target of this backend: nothing to list
        return
    seen: set[tuple[str, ...]] = set()
    for one in candidates(case, case.backend):
        option = one.option
        place = option.install.path if option is not None and option.install is not None else ""
        name = (option.provider, option.version, place) if option is not None else ()
        if not one.broken and name not in seen:
            seen.add(name)
            yield assemble(case, one)


def why_not(request: Request, host: Host, word: str) -> Plan | GpubuildError:
    """Return what speaks against a target, toolkit or backend beside a wish; a Plan when nothing does.

    Raises:
        UnknownNameError: `word` names none of these.
    """
    try:
        return resolve(_with(request, word), host)
    except (IncompatibleError, MissingToolError, InvalidInputError) as error:
        return error


def _with(request: Request, word: str) -> Request:
    """Return the wish with one thing more; a target leaves the backend open, since it decides that itself."""
    name = word.strip().lower()
    backend = next((one for one in BACKENDS if one == name), None)
    if backend is not None:
        return msgspec.structs.replace(request, backend=backend)
    if name.startswith(TOOLKITS):
        return msgspec.structs.replace(request, toolkit=str(parse_wish(word)))
    (target, *_) = parse_target(word)
    return msgspec.structs.replace(request, backend="auto", targets=(str(target),), add_targets=(), base="detected")


def best(case: Case) -> Candidate | None:
    """Return the preferred candidate that breaks no fact."""
    return next((one for one in candidates(case, case.backend) if not one.broken), None)


def candidates(case: Case, backend: Backend) -> Iterator[Candidate]:
    """Yield the candidates of a backend, best first."""
    options = sorted(_usable(case, backend), key=lambda option: preference(case, option))
    for source in case.sources:
        ground = ground_of(case, source)
        for option in options:
            yield judge(case, ground, backend, option)


def _usable(case: Case, backend: Backend) -> Iterator[ToolkitOption | None]:
    """Yield the toolkits in question; of CUDA, NVIDIA's own wheels travel and not a root filesystem's libraries."""
    for option in options_for(backend, case.host):
        foreign = option is not None and option.kind == "cuda" and option.rootfs is not None
        if not (foreign and case.request.runtime == "bundle"):
            yield option


def every(case: Case) -> Iterator[Candidate]:
    """Yield the candidates of every backend, those of the wished one first."""
    for backend in sorted(BACKENDS, key=lambda one: (one != case.backend, BACKENDS.index(one))):
        yield from candidates(case, backend)


def preference(case: Case, option: ToolkitOption | None) -> tuple[object, ...]:
    """Return the sort key of a toolkit; lower is better.

    An installed toolkit comes before one of a package registry, that before one of a server that the user named, and
    that before a root filesystem made for it. With an NVIDIA driver: the newest toolkit it offers, then the nearest
    newer one. Without: the lowest minor release, whose code the most drivers run. Always the newest update of a minor
    release.
    """
    if option is None:
        return ()
    release = option.release
    provider = PROVIDERS.index(option.provider)
    place = (option.place.where if option.place else "", option.install.path if option.install else "")
    update = tuple(-number for name in option.names for number in Release.parse(name).numbers)
    minor = release.minor
    if option.offered is not None and option.kind == "rocm":
        return (provider, is_early(option.version), _down(minor), update, option.offered.family)
    if option.rootfs is not None and option.kind != "cuda":
        return (provider, option.rootfs.rank, _down(minor), update, place)
    if option.provider == "elsewhere" or option.kind != "cuda":
        return (provider, option.place is not None and not option.place.os, _down(minor), update, place)
    if case.offered is not None:
        within = minor <= case.offered.minor
        return (provider, not within, _down(minor) if within else minor, update, place)
    return (provider, False, minor, update, place)


def _down(minor: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-number for number in minor)
