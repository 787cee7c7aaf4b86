"""The ways to serve one device, best first, each with its cost, its risk and its reason. Pure: facts in, rungs out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.engine import resolve
from buildtool.compat.model import Backend, Plan, Request
from buildtool.compat.offers import NAMES, Step, other_wishes
from buildtool.compat.options import platform_of
from buildtool.compat.refusal import InstallFirstError
from buildtool.compat.rules import runs_on
from buildtool.compat.targets import Target
from buildtool.errors import GpubuildError
from buildtool.probe.model import Host
from buildtool.shell import command_line

Way = Literal["served", "override", "retarget", "recompile", "vulkan", "cpu"]
State = Literal["yes", "first", "unproved", "no"]
Answer = Literal["yes", "only-if", "no"]
NOTHING = "nothing"


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What reading an existing binary told: whether its device code loads on the device, and why.

    `stand_in` tells the same of the target that `stand_in()` names; None where there is none. `root` is what was read,
    `path` the file in it that decided.
    """

    path: str
    answer: Answer
    reason: str
    stand_in: Answer | None = None
    root: str = ""


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to serve a device.

    Attributes:
        step: which way.
        state: ``yes``: it works as things are; ``first``: once something is installed; ``unproved``: it may work;
            ``no``: it does not.
        reason: why that is so.
        cost: what it takes.
        risk: what may go wrong.
        command: what does it, or proves it; "" where nothing does.
        first: what has to be installed before.
        argv: the gpubuild command that builds it, once that is done; () where none does.
        path: the binary that was read, for the first rung and for retargeting.
    """

    step: Way
    state: State
    reason: str
    cost: str = NOTHING
    risk: str = "none known"
    command: str = ""
    first: tuple[Step, ...] = ()
    argv: tuple[str, ...] = ()
    path: str = ""


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
    rungs = [_served(target, host, served)]
    if target.platform == "rocm":
        rungs += [_override(target, host, served), _retarget(target, host, served)]
    return (*rungs, *_builds((target,), host, wish))


def ladder_for_all(targets: tuple[Target, ...], host: Host, request: Request | None = None) -> tuple[Rung, ...]:
    """Return the rungs of one build for several devices of one platform, or for none.

    What `ladder` has besides builds is a matter of one device.
    """
    return _builds(targets, host, request if request is not None else Request())


def _builds(targets: tuple[Target, ...], host: Host, wish: Request) -> tuple[Rung, ...]:
    gpu = (_recompile(targets, host, wish), _vulkan(targets, host, wish)) if targets else ()
    return (*gpu, _cpu(host, wish))


def choose(rungs: Sequence[Rung]) -> Rung:
    """Return the first rung that holds as things are; else the first that holds once something is installed.

    The CPU, the last rung, is taken only when no other holds.
    """
    holding = (rung for state in ("yes", "first") for rung in rungs[:-1] if rung.state == state)
    return next(holding, rungs[-1])


def _served(target: Target, host: Host, served: Served | None) -> Rung:
    if served is None:
        return Rung(
            step="served",
            state="unproved",
            reason="no existing binary was read",
            command=f"gpubuild plan --ladder --have PATH, or gpubuild inspect PATH --for {target}",
        )
    states: dict[str, State] = {"yes": "yes", "only-if": "unproved", "no": "no"}
    state = states[served.answer]
    root = served.root or served.path  # the deciding file may lie inside an archive
    command = command_line(("gpubuild", "inspect", root, "--for", str(target)), host.os.system)
    reason = f"{served.path}: {served.reason}"
    return Rung(step="served", state=state, reason=reason, command=command, path=root)


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


def _retarget(target: Target, host: Host, served: Served | None) -> Rung:
    row = tables.amd_targets().get(target.chip)
    if row is None or not row.retarget_from:
        family = f" of {row.generic}" if row is not None and row.generic else ""
        reason = f"LLVM lists no sibling{family} without restrictions to take code from"
        return Rung(step="retarget", state="no", reason=reason)
    donor, words = row.retarget_from, f"code for {row.retarget_from} has the same instructions"
    path = "" if served is None else served.root or served.path
    if served is not None and served.stand_in != "yes":
        return Rung(step="retarget", state="no", reason=f"{words}, but {path} holds none", path=path)
    argv: tuple[str, ...] = (
        "gpubuild",
        "retarget",
        path or "PATH",
        "--from",
        donor,
        "--to",
        target.chip,
        "--thin",
        "--out",
    )
    argv += (_beside(path, target.chip) if path else "DST",)
    return Rung(
        step="retarget",
        state="yes" if path else "unproved",
        reason=f"{words}; {f'{path} holds it' if path else 'no existing binary was read'}",
        cost="seconds, no compiler",
        risk="proved by disassembly only, on no device",
        command=command_line(argv, host.os.system),
        argv=argv if path else (),
        path=path,
    )


def _beside(path: str, chip: str) -> str:
    """Return a name for what a file or folder becomes, without its folder: ``rocm-gfx1032``."""
    name = re.split(r"[\\/]", path.rstrip("\\/"))[-1]
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{chip}{dot}{suffix}"


def _try(host: Host, wish: Request) -> Plan | GpubuildError:
    try:
        return resolve(wish, host)
    except GpubuildError as error:
        return error


def _build(step: Way, answer: Plan | GpubuildError, cost: str, host: Host, wish: Request) -> Rung:
    argv: tuple[str, ...] = ("gpubuild", "compile", "--backend", wish.backend)
    argv += ("--target", ";".join(wish.targets)) if wish.targets else ()
    argv += ("--toolkit", wish.toolkit) if wish.toolkit else ()
    argv += tuple(other_wishes(wish))
    if isinstance(answer, Plan):
        beware = [one.choice for one in answer.decisions if one.subject == "beware"]
        toolkit = f"{NAMES[answer.backend]} {answer.toolkit.version}, " if answer.toolkit is not None else ""
        reason = f"{toolkit}{answer.host_compiler.family} {answer.host_compiler.version}, {answer.source.name}"
        risk = "; ".join(beware) or "none known"
        command = command_line(argv, host.os.system)
        return Rung(step=step, state="yes", reason=reason, cost=cost, risk=risk, command=command, argv=argv)
    if isinstance(answer, InstallFirstError):
        return Rung(
            step=step, state="first", reason=answer.what, cost=f"an installation, then {cost}", command=answer.hint,
            first=answer.steps, argv=argv,
        )  # fmt: skip
    return Rung(step=step, state="no", reason=answer.why or answer.what)


def _wish(request: Request, backend: Backend, targets: tuple[Target, ...] = ()) -> Request:
    keep = request.toolkit if request.toolkit and request.toolkit.startswith(backend) else None
    names = tuple(map(str, targets))
    return msgspec.structs.replace(
        request, backend=backend, targets=names, add_targets=(), base="detected", toolkit=keep
    )


def _recompile(targets: tuple[Target, ...], host: Host, request: Request) -> Rung:
    wish = _wish(request, targets[0].platform, targets)
    return _build("recompile", _try(host, wish), "a compile of the whole backend", host, wish)


def _vulkan(targets: tuple[Target, ...], host: Host, request: Request) -> Rung:
    platform = platform_of(host)
    if not any(runs_on(target, platform) for target in targets):
        names = ", ".join(map(str, targets))
        return Rung(step="vulkan", state="no", reason=f"{names} is in no {platform} machine")
    wish = _wish(request, "vulkan")
    return _build("vulkan", _try(host, wish), "a compile of one backend, no vendor toolkit", host, wish)


def _cpu(host: Host, request: Request) -> Rung:
    wish = _wish(request, "cpu")
    return _build("cpu", _try(host, wish), "the GPU stays idle", host, wish)
