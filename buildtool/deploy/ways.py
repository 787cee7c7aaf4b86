"""The ways to make an Ollama use a device, best first, each with its state, reason, cost and risk."""

from __future__ import annotations

from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.ladder import Rung, Served, State, ladder, stand_in
from buildtool.compat.model import Request
from buildtool.compat.siblings import identical
from buildtool.compat.targets import Target
from buildtool.deploy import rules
from buildtool.deploy.model import Installation, Runner, Verdict
from buildtool.deploy.pins import not_known, source_of
from buildtool.errors import IncompatibleError
from buildtool.probe.model import Host

Method = Literal["served", "igpu", "override", "retarget", "compile", "vulkan"]
NO_FOLDERS = "this generation of Ollama picks up no new folder; 0.30 or newer does"
ABSENT = {
    "igpu": "The card is not part of the processor, or something else stands in its way.",
    "override": "It is for AMD cards.",
    "retarget": "It is for AMD cards.",
}
TITLES: dict[str, str] = {
    "served": "it is used already",
    "igpu": "let Ollama use a GPU in the processor",
    "override": "let the card pass for its sibling",
    "retarget": "retarget Ollama's own runner",
    "compile": "build a runner for exactly this card",
    "vulkan": "a Vulkan runner",
}


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way.

    Attributes:
        method: which.
        state: ``yes``, ``first`` (after an installation), ``unproved``, or ``no``.
        reason: why that is so.
        cost: what it takes.
        risk: what may go wrong.
        env: variables that the service needs for it.
        donor: the runner folder it is made from.
        chip: the processor that the donor's code is for.
        source: what `gpubuild compile --source` is given, "" when no source of this llama.cpp is known.
        hint: what would have to be done first.
    """

    method: Method
    state: State
    reason: str
    cost: str = "nothing"
    risk: str = "none known"
    env: dict[str, str] = {}
    donor: str = ""
    chip: str = ""
    source: str = ""
    hint: str = ""


def ways(
    one: Installation, verdict: Verdict, target: Target, host: Host, *, built: bool = False, source: str = ""
) -> tuple[Way, ...]:
    """Return every way for a device, best first.

    Args:
        one: the installation.
        verdict: what it does with the device now.
        target: the device's target.
        host: the machine, for what can be built on it.
        built: a backend that is built already was named.
        source: llama.cpp's source that somebody named, "" for none.
    """
    used = verdict.state == "used"
    donor = _serving(one.runners, stand_in(target))
    served = Served(
        path=one.libraries,
        answer="yes" if used else "no",
        reason=verdict.reason,
        stand_in="yes" if donor is not None else "no" if stand_in(target) else None,
    )
    request = Request(source=source or source_of(one.llama_cpp) or None)
    rungs = {rung.step: rung for rung in ladder(target, host, request, served)}
    found = [Way(method="served", state="yes" if used else "no", reason=verdict.reason)]
    if verdict.would.startswith("OLLAMA_IGPU_ENABLE"):
        reason = f"{verdict.runner} serves it; Ollama drops GPUs in the processor by itself"
        found.append(Way(method="igpu", state=_by_service(one), reason=reason, cost="one variable", env=IGPU))
    if target.platform == "rocm":
        found += [_override(one, target, host, rungs["override"], donor), _retarget(one, target)]
    wish = _Wish(built=built, named=bool(source), source=request.source or "")
    return (*found, _compile(one, target, rungs["recompile"], wish), _vulkan(one, rungs["vulkan"], wish))


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a build is made of: a backend that is there, or llama.cpp's source, and whether somebody named it."""

    built: bool
    named: bool
    source: str


IGPU = {"OLLAMA_IGPU_ENABLE": "1"}


def choose(found: tuple[Way, ...], method: str) -> Way:
    """Return the way that somebody asked for, or the best that holds as things are.

    Raises:
        IncompatibleError: it does not hold, or none does.
    """
    if method == "auto":
        holding = next((way for way in found if way.state == "yes"), None)
        if holding is not None:
            return holding
        what = "No way holds as things are."
        details = tuple(f"{way.method}: {way.reason}" for way in found)
        hint = next((way.hint for way in found if way.hint), "gpubuild ollama status says more.")
        raise IncompatibleError(what, hint=hint, details=details)
    way = next((way for way in found if way.method == method), None)
    if way is None or way.state != "yes":
        what = f"This way does not hold here: {TITLES[method]}."
        why = way.reason if way is not None else ABSENT.get(method, "")
        raise IncompatibleError(what, why=why, hint=(way.hint if way is not None else "") or "Take --method auto.")
    return way


def _serving(runners: tuple[Runner, ...], chip: str) -> Runner | None:
    """Return the highest of Ollama's own ROCm runners that serves a processor whole: module and rocBLAS."""
    found = [one for one in runners if one.library == "ROCm" and one.module and not one.ours and _holds(one, chip)]
    return max(found, key=lambda one: one.name, default=None) if chip else None


def _holds(runner: Runner, chip: str) -> bool:
    held = {target.partition(":")[0] for target in runner.targets}
    return chip in held and rules.has_rocblas(chip, runner.rocblas)


def _by_service(one: Installation) -> State:
    return "yes" if one.service.manager in {"systemd", "systemd-user"} else "first"


def _override(one: Installation, target: Target, host: Host, rung: Rung, donor: Runner | None) -> Way:
    value = tables.amd_targets()[target.chip].hsa_override
    others = {device.target for device in host.devices if device.vendor == "amd" and device.target} - {str(target)}
    if rung.state == "yes" and others:
        reason = f"the variable would hold for {' and '.join(sorted(filter(None, others)))} as well"
        return Way(method="override", state="no", reason=reason)
    if any(runner.ours and target.chip in runner.targets for runner in one.runners):
        return Way(method="override", state="no", reason=f"a runner for {target.chip} itself is there: never both")
    state = _by_service(one) if rung.state == "yes" else rung.state
    return Way(
        method="override",
        state=state,
        reason=rung.reason,
        cost="one variable of the service",
        risk=rung.risk,
        env={"HSA_OVERRIDE_GFX_VERSION": value},
        donor=donor.name if donor is not None else "",
        hint=f"Start the server with HSA_OVERRIDE_GFX_VERSION={value} set." if state == "first" else "",
    )


def _blocked(one: Installation) -> str:
    """Return why no folder can be put beside the runners, "" when one can."""
    if one.generation != "new":
        return NO_FOLDERS
    return "" if one.writable else f"nothing can be put beside its runners: {one.why}"


def _retarget(one: Installation, target: Target) -> Way:
    blocked = _blocked(one)
    chips = identical(target.chip)
    row = tables.amd_targets().get(target.chip)
    order = ([row.retarget_from] if row is not None and row.retarget_from else []) + list(chips)
    found = next(((chip, donor) for chip in order if (donor := _serving(one.runners, chip)) is not None), None)
    if not chips:
        return Way(method="retarget", state="no", reason=f"no processor runs the same instructions as {target.chip}")
    if found is None:
        names = ", ".join(chips)
        return Way(method="retarget", state="no", reason=f"no runner here serves a sibling ({names}) whole")
    chip, donor = found
    own = one.service.environment.get("HSA_OVERRIDE_GFX_VERSION", "")
    ours = any("50-gpubuild.conf" in path for path in one.service.drop_ins)
    if own and not ours:
        reason = f"HSA_OVERRIDE_GFX_VERSION={own} is set for the service: never together with code for the card itself"
        return Way(method="retarget", state="no", reason=reason, hint="Take the variable out, then try again.")
    return Way(
        method="retarget",
        state="no" if blocked else "yes",
        reason=blocked or f"{donor.name} holds code and rocBLAS for {chip}, which has the same instructions",
        cost="seconds to a minute, and the space of one target's kernels",
        risk="proved by disassembly only, on no device",
        donor=donor.name,
        chip=chip,
    )


def _of_source(one: Installation, rung: Rung, wish: _Wish) -> str:
    """Say what a build is made of, and that somebody named it, since it has to fit what this Ollama runs."""
    url, _, ref = wish.source.partition("#")
    reason = f"{rung.reason}#{ref}" if ref and rung.reason.endswith(url) else rung.reason
    runs = one.llama_cpp.value or "not known"
    return f"{reason}; the source that you named (llama.cpp of this Ollama: {runs})" if wish.named else reason


def _compile(one: Installation, target: Target, rung: Rung, wish: _Wish) -> Way:
    blocked = _blocked(one)
    cost = "a compile of the whole backend"
    if blocked:
        return Way(method="compile", state="no", reason=blocked)
    if wish.built:
        return Way(method="compile", state="yes", reason="the backend you named", cost="a copy")
    if not wish.source:
        hint = f"If you have its source: gpubuild ollama enable --for-device {target} --source PATH (or a git URL#TAG)"
        return Way(method="compile", state="no", reason=not_known(one.llama_cpp), cost=cost, hint=hint)
    return Way(
        method="compile", state=rung.state, reason=_of_source(one, rung, wish), cost=cost, risk=rung.risk,
        source=wish.source, hint=rung.command if rung.state == "first" else "",
    )  # fmt: skip


def _vulkan(one: Installation, rung: Rung, wish: _Wish) -> Way:
    blocked = _blocked(one)
    there = next((runner for runner in one.runners if runner.library == "Vulkan" and runner.module), None)
    off = there is not None and rules.passed_by(there.name, one.service.environment)
    if there is not None and off:
        return Way(method="vulkan", state="no", reason=f"{there.name} is there, but {off}", hint="Take that out.")
    if there is not None and not wish.built:
        reason = f"{there.name} is there: if it does not take the card, the card's Vulkan driver is missing"
        return Way(method="vulkan", state="no", reason=reason, hint="gpubuild doctor")
    if blocked:
        return Way(method="vulkan", state="no", reason=blocked)
    if wish.built:
        return Way(method="vulkan", state="yes", reason="the backend you named", cost="a copy")
    state: State = rung.state if wish.source else "no"
    reason = _of_source(one, rung, wish) if wish.source else not_known(one.llama_cpp)
    return Way(method="vulkan", state=state, reason=reason, cost=rung.cost, source=wish.source, hint=rung.command)
