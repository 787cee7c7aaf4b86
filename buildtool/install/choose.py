"""Chooses the pair of runtime and backend for a machine: filter, then rank, each step with its reason."""

from __future__ import annotations

import re

from packaging.version import Version

from buildtool.compat.versions import suggest
from buildtool.errors import IncompatibleError, UnknownNameError
from buildtool.index.model import Catalogue, IndexedWheel
from buildtool.install.fits import exact, kind_of, misfit, served, unserved
from buildtool.install.model import Choice, Objection, Target
from buildtool.probe.model import Host

ORDER = ("cuda", "rocm", "vulkan", "cpu")
_RUNTIME = re.compile(r"^gpubuild[-_.]llama\s*==\s*(?P<version>[^\s;,]+)\s*$")
MOST_DETAILS = 12


def choose(catalogue: Catalogue, host: Host, target: Target, backend: str = "auto", *, vulkan: bool) -> Choice:
    """Choose from an index.

    Args:
        catalogue: of the index.
        host: the machine.
        target: the environment.
        backend: ``auto``, a kind (``cuda``), a family (``cuda13``), or ``cpu``.
        vulkan: whether the Vulkan loader is there.

    Raises:
        UnknownNameError: the index has no such backend.
        IncompatibleError: nothing fits; says what is missing.
    """
    families = sorted({wheel.family for wheel in catalogue.wheels if wheel.family})
    _check_known(backend, families)
    if backend == "cpu" or (backend == "auto" and not any(device.usable for device in host.devices)):
        why = "asked for" if backend == "cpu" else "no GPU was detected"
        return Choice(runtime=_newest_runtime(catalogue, host, target), backend=None, reason=f"the processor: {why}")
    objections: list[Objection] = []
    fitting: list[tuple[tuple[object, ...], IndexedWheel, IndexedWheel]] = []
    for wheel in catalogue.wheels:
        if wheel.role != "backend" or backend not in {"auto", wheel.family, kind_of(wheel)}:
            continue
        runtime, missing = _runtime_for(wheel, catalogue, host, target)
        why = misfit(wheel, host, target.version) or unserved(wheel, host, vulkan=vulkan) or missing
        if why or runtime is None:
            objections.append(Objection(wheel=wheel.filename, why=why))
        else:
            fitting.append((_rank(wheel, runtime, host), wheel, runtime))
    if not fitting:
        raise _nothing(host, objections, backend)
    _, best, runtime = max(fitting, key=lambda one: one[0])
    others = tuple(
        Objection(wheel=wheel.filename, why="another one fits better") for _, wheel, _ in fitting if wheel != best
    )
    return Choice(
        runtime=runtime,
        backend=best,
        reason=_reason(best, host),
        warnings=_warnings(best, host),
        objections=(*objections, *others),
    )


def _check_known(backend: str, families: list[str]) -> None:
    known = {"auto", *ORDER, *families}
    if backend not in known:
        near = suggest(backend, known)
        what = f"There is no backend {backend!r}."
        raise UnknownNameError(
            what, hint=f"Did you mean {near[0]}?" if near else f"The index has {', '.join(families)}."
        )


def _rank(wheel: IndexedWheel, runtime: IndexedWheel, host: Host) -> tuple[object, ...]:
    """Return the sort key of a backend that fits; higher is better.

    The vendor's own backend; more devices served; code for exactly the devices' targets; the newest version; the least
    to download. The version is the runtime's: a backend's own names its targets too, which say nothing of age.
    """
    devices = served(wheel, host)
    precise = sum(exact(wheel, device) for device in devices)
    newest = Version(runtime.version)
    return (-ORDER.index(kind_of(wheel)), len(devices), precise, newest, -wheel.bytes, wheel.filename)


def _runtime_for(
    wheel: IndexedWheel, catalogue: Catalogue, host: Host, target: Target
) -> tuple[IndexedWheel | None, str]:
    """Return the runtime that a backend requires exactly, or why there is none."""
    wanted = next((found["version"] for one in wheel.requires if (found := _RUNTIME.match(one))), None)
    if wanted is None:
        return None, "it does not say which runtime it belongs to"
    try:
        version = Version(wanted)
    except ValueError:
        return None, f"it requires a runtime {wanted!r}, which is no version"
    same = [one for one in catalogue.wheels if one.role == "runtime" and Version(one.version) == version]
    problems = [(one, misfit(one, host, target.version)) for one in same]
    sound = [one for one, problem in problems if not problem]
    if sound:
        return max(sound, key=lambda one: one.filename), ""
    if problems:
        return None, f"its runtime {wanted} does not fit: {problems[0][1]}"
    return None, f"its runtime {wanted} is not in the index"


def _newest_runtime(catalogue: Catalogue, host: Host, target: Target) -> IndexedWheel:
    runtimes = [wheel for wheel in catalogue.wheels if wheel.role == "runtime"]
    fitting = [wheel for wheel in runtimes if not misfit(wheel, host, target.version)]
    if fitting:
        return max(fitting, key=lambda wheel: (Version(wheel.version), wheel.filename))
    what = "No runtime in the index fits this machine."
    details = tuple(f"{wheel.filename}: {misfit(wheel, host, target.version)}" for wheel in runtimes)
    raise IncompatibleError(what, hint="Build one here: gpubuild compile --backend cpu", details=details)


def _reason(wheel: IndexedWheel, host: Host) -> str:
    devices = ", ".join(
        f"{device.name} ({device.target})" if device.target else device.name for device in served(wheel, host)
    )
    if kind_of(wheel) == "vulkan":
        return f"Vulkan, for {devices}; no backend of the vendor's own fits"
    inexact = [device for device in served(wheel, host) if not exact(wheel, device)]
    note = f"; {inexact[0].target} runs its {', '.join(wheel.targets)} code" if inexact else ""
    return f"it has code for {devices}{note}"


def _warnings(wheel: IndexedWheel, host: Host) -> tuple[str, ...]:
    left = [device for device in host.devices if device.usable and device not in served(wheel, host)]
    found = [f"{device.name} ({device.target or 'target unknown'}) is not served by this backend." for device in left]
    if kind_of(wheel) == "rocm" and not wheel.bundled:
        found.append("ROCm's own libraries must be installed; gpubuild doctor tells.")
    return tuple(dict.fromkeys(found))


def _nothing(host: Host, objections: list[Objection], backend: str) -> IncompatibleError:
    devices = ", ".join(dict.fromkeys(f"{one.name} ({one.target or 'target unknown'})" for one in host.devices))
    what = f"No backend in the index serves {devices or 'this machine'}."
    if not objections:
        what = f"The index has no backend{'' if backend == 'auto' else f' {backend}'}."
    details = [f"{one.wheel}: {one.why}" for one in objections[:MOST_DETAILS]]
    if len(objections) > MOST_DETAILS:
        details.append(f"and {len(objections) - MOST_DETAILS} more")
    targets = ";".join(dict.fromkeys((one.target or "").split(":")[0] for one in host.devices if one.target))
    hint = f"Build one: gpubuild compile --target {targets!r}; or use the processor: --backend cpu"
    return IncompatibleError(what, hint=hint if targets else "Use the processor: --backend cpu", details=tuple(details))
