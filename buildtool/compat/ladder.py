"""The ways to serve one device, best first, each with its cost, its risk and its reason. Pure: facts in, rungs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.engine import resolve
from buildtool.compat.model import Backend, Plan, Request
from buildtool.compat.offers import NAMES
from buildtool.compat.options import platform_of
from buildtool.compat.rules import runs_on
from buildtool.compat.targets import Target
from buildtool.errors import GpubuildError, MissingToolError
from buildtool.probe.model import Host

Step = Literal["served", "override", "retarget", "recompile", "vulkan", "cpu"]
State = Literal["yes", "first", "unproved", "not yet", "no"]
Answer = Literal["yes", "only-if", "no"]
NOTHING = "nothing"


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What reading an existing binary told: whether its device code loads on the device, and why.

    `stand_in` tells the same of the target that `stand_in()` names; None where there is none.
    """

    path: str
    answer: Answer
    reason: str
    stand_in: Answer | None = None


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to serve a device.

    Attributes:
        step: which way.
        state: ``yes``: it works as things are; ``first``: once something is installed; ``unproved``: it may work;
            ``not yet``: it would work, but gpubuild has no command for it; ``no``: it does not.
        reason: why that is so.
        cost: what it takes.
        risk: what may go wrong.
        command: what does it, or proves it; "" where nothing does.
    """

    step: Step
    state: State
    reason: str
    cost: str = NOTHING
    risk: str = "none known"
    command: str = ""


def ladder(
    target: Target, host: Host, request: Request | None = None, served: Served | None = None
) -> tuple[Rung, ...]:
    """Return the rungs for a device of `target`, best first; the override and retargeting are AMD's only.

    Args:
        target: the device's target.
        host: the machine it is in.
        request: wishes about source, profile and toolkit; targets and backend in it are not looked at.
        served: the verdict on a binary that is there already; None when none was read.
    """
    wish = request if request is not None else Request()
    rungs = [_served(target, served)]
    if target.platform == "rocm":
        rungs += [_override(target, host, served), _retarget(target)]
    return (*rungs, _recompile(target, host, wish), _vulkan(target, host, wish), _cpu(host, wish))


def choose(rungs: Sequence[Rung]) -> Rung:
    """Return the first rung that holds as things are; else the first that holds once something is installed.

    The CPU, the last rung, is taken only when no other holds.
    """
    holding = (rung for state in ("yes", "first") for rung in rungs[:-1] if rung.state == state)
    return next(holding, rungs[-1])


def _served(target: Target, served: Served | None) -> Rung:
    if served is None:
        return Rung(
            step="served",
            state="unproved",
            reason="no existing binary was read",
            command=f"gpubuild plan --ladder --have PATH, or gpubuild inspect PATH --for {target}",
        )
    states: dict[str, State] = {"yes": "yes", "only-if": "unproved", "no": "no"}
    state = states[served.answer]
    return Rung(step="served", state=state, reason=f"{served.path}: {served.reason}")


def stand_in(target: Target) -> str:
    """Return the target that the usual HSA_OVERRIDE_GFX_VERSION makes a device pass for; "" where there is none."""
    row = tables.amd_targets().get(target.chip) if target.platform == "rocm" else None
    # Minor and stepping are one hexadecimal digit each in a name, and decimal numbers in the variable.
    return (
        "gfx{}{:x}{:x}".format(*map(int, row.hsa_override.split("."))) if row is not None and row.hsa_override else ""
    )


def _override(target: Target, host: Host, served: Served | None) -> Rung:
    other = stand_in(target)
    if host.os.system != "linux":
        return Rung(step="override", state="no", reason="HSA_OVERRIDE_GFX_VERSION is read on Linux only")
    if not other:
        return Rung(step="override", state="no", reason=f"{target.chip} has no other target to pass for")
    if served is not None and served.stand_in == "no":
        return Rung(step="override", state="no", reason=f"{served.path} holds nothing for {other} either")
    row = tables.amd_targets()[target.chip]
    failing = [
        bad.what
        for bad in tables.known_bad()
        if bad.variable == "HSA_OVERRIDE_GFX_VERSION" and bad.targets == (target.chip,)
    ]
    alike = row.retarget_from == other
    words = "whose instructions are the same" if alike else "whose instructions are not all the same"
    proved = alike and not failing and served is not None and served.stand_in == "yes"
    return Rung(
        step="override",
        state="yes" if proved else "unproved",
        reason="; ".join([f"the card passes for {other}, {words}", *failing]),
        cost=f"one variable for every ROCm program, and one that is built for {other}",
        risk=f"invalid device function, as soon as one of them is built for {target.chip} itself",
        command=f"export HSA_OVERRIDE_GFX_VERSION={row.hsa_override}",
    )


def _retarget(target: Target) -> Rung:
    row = tables.amd_targets().get(target.chip)
    if row is None or not row.retarget_from:
        family = f" of {row.generic}" if row is not None and row.generic else ""
        reason = f"LLVM lists no sibling{family} without restrictions to take code from"
        return Rung(step="retarget", state="no", reason=reason)
    return Rung(
        step="retarget",
        state="not yet",
        reason=f"code for {row.retarget_from} has the same instructions; gpubuild has no command for it yet",
        cost="seconds, no compiler",
        risk="proved by disassembly only, on no device",
    )


def _try(host: Host, wish: Request) -> Plan | GpubuildError:
    try:
        return resolve(wish, host)
    except GpubuildError as error:
        return error


def _build(step: Step, answer: Plan | GpubuildError, cost: str, command: str) -> Rung:
    if isinstance(answer, Plan):
        beware = [one.choice for one in answer.decisions if one.subject == "beware"]
        toolkit = f"{NAMES[answer.backend]} {answer.toolkit.version}, " if answer.toolkit is not None else ""
        reason = f"{toolkit}{answer.host_compiler.family} {answer.host_compiler.version}, {answer.source.name}"
        risk = "; ".join(beware) or "none known"
        return Rung(step=step, state="yes", reason=reason, cost=cost, risk=risk, command=command)
    if isinstance(answer, MissingToolError):
        return Rung(
            step=step, state="first", reason=answer.what, cost=f"an installation, then {cost}", command=answer.hint
        )
    return Rung(step=step, state="no", reason=answer.why or answer.what)


def _wish(request: Request, backend: Backend, targets: tuple[str, ...] = ()) -> Request:
    keep = request.toolkit if request.toolkit and request.toolkit.startswith(backend) else None
    return msgspec.structs.replace(
        request, backend=backend, targets=targets, add_targets=(), base="detected", toolkit=keep
    )


def _recompile(target: Target, host: Host, request: Request) -> Rung:
    answer = _try(host, _wish(request, target.platform, (str(target),)))
    command = f"gpubuild compile --backend {target.platform} --target {target}"
    return _build("recompile", answer, "a compile of the whole backend", command)


def _vulkan(target: Target, host: Host, request: Request) -> Rung:
    if not runs_on(target, platform_of(host)):
        return Rung(step="vulkan", state="no", reason=f"{target} is in no {platform_of(host)} machine")
    answer = _try(host, _wish(request, "vulkan"))
    return _build("vulkan", answer, "a compile of one backend, no vendor toolkit", "gpubuild compile --backend vulkan")


def _cpu(host: Host, request: Request) -> Rung:
    return _build("cpu", _try(host, _wish(request, "cpu")), "the GPU stays idle", "gpubuild compile --backend cpu")
