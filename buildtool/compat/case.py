"""A wish and a machine, made definite: which backend, which targets, which sources are in question."""

from __future__ import annotations

import contextlib

import msgspec

from buildtool.compat.model import Backend, Request
from buildtool.compat.options import platform_of
from buildtool.compat.recipes import Recipe, load_recipe
from buildtool.compat.sources import SourceChoice, choose_sources
from buildtool.compat.targets import Target, parse_target, parse_targets
from buildtool.compat.versions import Release, ToolkitWish, parse_wish, suggest
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.probe.model import Device, Driver, Host, HostCompiler

BACKENDS: tuple[Backend, ...] = ("cuda", "rocm", "vulkan", "cpu")
VENDOR_BACKEND: dict[str, Backend] = {"nvidia": "cuda", "amd": "rocm"}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine searches for.

    Attributes:
        request: the wish as given.
        host: the machine.
        recipe: the recipe wished for.
        backend: the backend in question, and `backend_reason` why.
        targets: targets that must be served.
        targets_reason: where they come from.
        base: True when the recipe's own list comes on top, as far as the toolkit knows it.
        toolkit: the wish about the toolkit.
        sources: sources in question, best first; of several with the same needs, the best stands for all.
        platform: ``linux-x86_64`` and the like.
        driver: NVIDIA driver that has to run the result; None when the result is for other machines.
        compilers: host compilers with a C sibling and a version that can be read, by family and version.
        offered: newest CUDA version that an NVIDIA driver of this machine offers.
    """

    request: Request
    host: Host
    recipe: Recipe
    backend: Backend
    backend_reason: str
    targets: tuple[Target, ...]
    targets_reason: str
    base: bool
    toolkit: ToolkitWish | None
    sources: tuple[SourceChoice, ...]
    platform: str
    driver: Driver | None
    compilers: tuple[HostCompiler, ...]
    offered: Release | None

    @property
    def target_names(self) -> tuple[str, ...]:
        """The targets without their features, as the tables name them."""
        return tuple(target.chip + target.suffix for target in self.targets)


def make_case(request: Request, host: Host) -> Case:
    """Read a request on a machine.

    Raises:
        UnknownNameError: a backend, target, recipe, source or toolkit nobody knows.
        InvalidInputError: nothing to build for, or options that do not go together.
    """
    if host.image is not None and request.runtime == "bundle":
        what = f"Libraries of the container image {host.image.name} cannot be bundled."
        raise InvalidInputError(what, hint="Leave --runtime bundle out, or build without --in.")
    if request.thin_vendor and request.runtime != "bundle":
        what = "--thin-vendor goes with --runtime bundle: it cuts down libraries that are copied into the wheel."
        raise InvalidInputError(what, hint="Add --runtime bundle, or leave --thin-vendor out.")
    recipe = load_recipe(request.recipe)
    toolkit = parse_wish(request.toolkit) if request.toolkit else None
    exact = parse_targets(request.targets)
    added = parse_targets(request.add_targets)
    backend, backend_reason = _choose_backend(request, host, (*exact, *added), toolkit)
    if exact and request.base == "recipe":
        what = "--target is an exact list; --base recipe asks for upstream's list as well."
        raise InvalidInputError(what, hint="Use --add-target with --base recipe, or leave --base out.")
    targets, targets_reason = _choose_targets(request, host, backend, exact, added)
    base = not exact and request.base == "recipe" and backend in {"cuda", "rocm"}
    if backend in {"cuda", "rocm"} and not targets and not base:
        raise _nothing_to_build_for(backend, host)
    driver = next((one for one in host.drivers if one.vendor == "nvidia"), None)
    detected = {str(target) for target in detected_targets(host, "cuda")}
    return Case(
        request=request,
        host=host,
        recipe=recipe,
        backend=backend,
        backend_reason=backend_reason,
        targets=targets,
        targets_reason=targets_reason,
        base=base,
        toolkit=toolkit,
        sources=_distinct(choose_sources(request.source, recipe), recipe),
        platform=platform_of(host),
        driver=driver if any(target.chip in detected for target in targets) else None,
        compilers=_compilers(host),
        offered=Release.read(driver.cuda) if driver is not None else None,
    )


def _compilers(host: Host) -> tuple[HostCompiler, ...]:
    """Return the usable host compilers in an order of their own, so that no text depends on the probe's order."""
    usable = [one for one in host.host_compilers if one.cc and Release.read(one.version)]
    return tuple(sorted(usable, key=lambda one: (one.family, Release.parse(one.version).numbers, one.cxx)))


def _distinct(sources: tuple[SourceChoice, ...], recipe: Recipe) -> tuple[SourceChoice, ...]:
    """Keep the best source of each set of needs: what rules that one out rules out the others."""
    kept: dict[tuple[bool, ...], SourceChoice] = {}
    for source in sources:
        kept.setdefault(tuple(row.holds_on(source.date) for row in recipe.needs), source)
    return tuple(kept.values())


def _choose_backend(
    request: Request, host: Host, targets: tuple[Target, ...], toolkit: ToolkitWish | None
) -> tuple[Backend, str]:
    if request.backend != "auto":
        if request.backend not in BACKENDS:
            near = suggest(request.backend, BACKENDS)
            what = f"There is no backend {request.backend!r}."
            hint = f"Did you mean {near[0]!r}?" if near else f"Backends: auto, {', '.join(BACKENDS)}."
            raise UnknownNameError(what, hint=hint)
        return request.backend, "asked for"
    if targets:
        platform = targets[0].platform
        return platform, f"{targets[0]} is {'an NVIDIA' if platform == 'cuda' else 'an AMD'} target"
    if toolkit is not None:
        kind: Backend = next(backend for backend in BACKENDS if backend == toolkit.kind)
        return kind, f"the toolkit {toolkit} was asked for"
    for vendor, backend in VENDOR_BACKEND.items():
        found = [one for one in _served(host) if one.vendor == vendor]
        device = min(found, key=lambda one: (one.name, one.target), default=None)
        if device is not None:
            return backend, f"{device.name} was detected" + _other_vendors(host, backend)
    return "cpu", "no NVIDIA or AMD device was detected, and no target was named"


def _other_vendors(host: Host, chosen: Backend) -> str:
    """Say which devices of this machine one build cannot serve as well."""
    words = [
        f"; {one.name} needs a build of its own (--backend {VENDOR_BACKEND[one.vendor]})"
        for one in _served(host)
        if VENDOR_BACKEND.get(one.vendor, chosen) != chosen
    ]
    return "".join(sorted(set(words)))


def _choose_targets(
    request: Request, host: Host, backend: Backend, exact: tuple[Target, ...], added: tuple[Target, ...]
) -> tuple[tuple[Target, ...], str]:
    named = _merge(exact, added)
    if exact or backend not in {"cuda", "rocm"}:
        return named, "asked for"
    if request.base == "recipe":
        return named, "asked for, beside the recipe's list" if named else "the recipe's list"
    found = detected_targets(host, backend)
    reason = {
        (True, True): "the devices of this machine, and those asked for",
        (True, False): "the devices of this machine",
        (False, True): "asked for; no device of this backend was detected",
        (False, False): "",
    }[bool(found), bool(named)]
    return _merge(found, named), reason


def _merge(*groups: tuple[Target, ...]) -> tuple[Target, ...]:
    return tuple(sorted({target for group in groups for target in group}, key=lambda target: target.order))


def detected_targets(host: Host, backend: Backend) -> tuple[Target, ...]:
    """Return the targets of this machine's devices that `backend` serves, as far as they are known.

    Features such as ``xnack-`` are left off: code without them runs in every mode of the device. A device that
    reports a target the tables do not know is passed over: its probe already warned.
    """
    found: set[Target] = set()
    for device in _served(host):
        if VENDOR_BACKEND.get(device.vendor) == backend:
            with contextlib.suppress(UnknownNameError, InvalidInputError):
                found.update(Target(one.platform, one.chip, one.suffix) for one in parse_target(device.target or ""))
    return tuple(sorted(found, key=lambda target: target.order))


def _served(host: Host) -> tuple[Device, ...]:
    """Return the devices that a build could serve: with a known target, and not taken from the driver."""
    return tuple(one for one in host.devices if one.target and one.usable)


def _nothing_to_build_for(backend: Backend, host: Host) -> InvalidInputError:
    unnamed = [one.name for one in host.devices if VENDOR_BACKEND.get(one.vendor) == backend]
    vendor, example = ("NVIDIA", "sm_90") if backend == "cuda" else ("AMD", "gfx1032")
    why = f"No {vendor} device with a known target was detected."
    if unnamed:
        why = f"The target of {', '.join(unnamed)} is not known."
    what = f"There is no target to build the {backend} backend for."
    hint = f"Name one (--target {example}), or take upstream's whole list (--base recipe)."
    return InvalidInputError(what, why=why, hint=hint)
