"""`enable` and `reapply`: from a device to a runner in its place, proved; `restore`: out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from buildtool.compat.targets import parse_target
from buildtool.deploy import rules
from buildtool.deploy.disk import digest
from buildtool.deploy.install import Hands
from buildtool.deploy.journal import Record
from buildtool.deploy.model import Installation, Runner, Verdict
from buildtool.deploy.order import Order, Talk
from buildtool.deploy.prove import Proof, answered, listed
from buildtool.deploy.runners import read_runner
from buildtool.deploy.server import Server
from buildtool.deploy.site import Site
from buildtool.deploy.stage import Staged, stage_built, stage_retargeted
from buildtool.deploy.ways import Way, choose, ways
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    InvalidInputError,
    VerificationError,
)
from buildtool.probe.model import Device, Host
from buildtool.store.progress import Progress

LIBRARY = {"cuda": "CUDA", "rocm": "ROCm"}
#: Builds a backend wheel: the source for ``--source``, the backend and the target; returns the wheel.
Build = Callable[[str, str, str], Path]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for.

    Attributes:
        method: a way, or ``auto``.
        built: a backend that is built already.
        source: llama.cpp's source for a build, "" for the one that this Ollama's version leads to.
        model: which model the proof shall ask, "" for the smallest.
        now: restart without asking.
        watch: do it again after an upgrade.
        unproved: put it into place although llama-server lists no device with it.
    """

    method: str = "auto"
    built: Path | None = None
    source: str = ""
    model: str = ""
    now: bool = False
    watch: bool = False
    unproved: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be done: the ways, and the one that is taken."""

    prefix: str
    device: str
    target: str
    ways: tuple[Way, ...]
    chosen: Way


def plan(one: Installation, device: Device, host: Host, wish: Wish) -> Plan:
    """Choose the way for a device.

    Raises:
        InvalidInputError: nobody knows the device's target.
        IncompatibleError: no way holds, or not the one that was asked for.
    """
    if not device.target:
        what = f"The target of {device.name} is not known."
        raise InvalidInputError(what, hint="Name it: --for-device gfx1032.")
    (target, *_) = parse_target(device.target)
    verdict = next((row for row in one.verdicts if row.target == device.target), None)
    verdict = verdict or Verdict(device=device.name, target=device.target, state="absent", reason="not judged")
    found = ways(one, verdict, target, host, built=wish.built is not None, source=wish.source)
    chosen = choose(found, _method(wish))
    return Plan(prefix=one.prefix, device=device.name, target=device.target, ways=found, chosen=chosen)


def _method(wish: Wish) -> str:
    """Return the way that is meant: whoever names a backend or a source means one of the builds.

    Raises:
        InvalidInputError: another way was asked for beside it.
    """
    if wish.built is None and not wish.source:
        return wish.method
    if wish.method == "auto":
        return "vulkan" if wish.built is not None and "vulkan" in wish.built.name else "compile"
    if wish.method not in {"compile", "vulkan"}:
        option = "--from" if wish.built is not None else "--source"
        what = f"{option} names what is built, and the way {wish.method} builds nothing."
        raise InvalidInputError(what, hint=f"Leave {option} out, or take --method compile or vulkan.")
    return wish.method


def stage(
    site: Site, one: Installation, chosen: Plan, wish: Wish, build: Build, progress: Progress, out: Path
) -> Order:
    """Make what a way comes to, in `out`, and describe it for the step that puts it into place.

    Raises:
        GpubuildError: whatever building or retargeting says.
    """
    way, target = chosen.chosen, chosen.target
    if way.method == "served":
        what = f"{chosen.device} is used already."
        raise InvalidInputError(what, hint="gpubuild ollama status shows by which runner.")
    staged = Staged(env=way.env)
    if way.method == "retarget":
        staged = stage_retargeted(one, way, target.partition(":")[0], out, progress, site)
    elif way.method in {"compile", "vulkan"}:
        platform = parse_target(target)[0].platform
        backend = "vulkan" if way.method == "vulkan" else platform
        library = "Vulkan" if way.method == "vulkan" else LIBRARY[platform]
        wheel = wish.built if wish.built is not None else build(way.source, backend, target)
        staged = stage_built(one, library, target, wheel, out, site)
    return Order(
        method=way.method,
        target=target,
        device=chosen.device,
        staged=staged,
        sha256=digest(out) if staged.runner else "",
        donor=way.donor,
        built=str(wish.built.absolute()) if wish.built is not None else "",
        source=wish.source,
        model=wish.model,
        watch=wish.watch,
        unproved=wish.unproved,
    )


def check(hands: Hands, order: Order) -> tuple[str, ...]:
    """Let the installation's own llama-server load what was staged, before anything is changed.

    Raises:
        VerificationError: it loads and sees no device; where that was expected it is only said.
        ProcessError: it does not come up with it.
    """
    if not order.staged.runner:
        return ()
    runner = read_runner(hands.site, order.staged.folder)
    more = _more(hands.one, order)
    try:
        words, _ = listed(hands.site, hands.one, runner, order.target, hands.environment(order), more)
    except VerificationError as error:
        if not order.unproved:
            error.hint = f"{error.hint} --unproved puts it into place all the same.".strip()
            raise
        return (f"unproved: {error.what}", *_loader_words(hands, order, runner))
    return (f"before the change, {words}",)


def _loader_words(hands: Hands, order: Order, runner: Runner) -> tuple[str, ...]:
    """Say whether HIP's loader would take a ROCm runner, where no AMD device can say it.

    Raises:
        VerificationError: it would not.
    """
    if runner.library != "ROCm" or hands.site.system != "linux":
        return ()
    from buildtool.verify.rig import proof_here_or_inside

    try:
        found = proof_here_or_inside(
            Path(order.staged.folder), [order.target], beside=[hands.site.path(hands.one.libraries)]
        )
    except GpubuildError as error:
        return (f"not proved before an imitated device: {error.what}",)
    if found.verdict == "failed":
        what = "An imitated device does not take the runner."
        raise VerificationError(what, why=found.summary)
    return (f"before an imitated device: {found.summary}",)


def _more(one: Installation, order: Order) -> tuple[str, ...]:
    return tuple(runner.path for runner in one.runners if runner.name == order.donor)


def prover(hands: Hands, order: Order) -> Callable[[Server], Proof]:
    """Return what proves an order once it is in place."""
    env = hands.environment(order)

    def prove(server: Server) -> Proof:
        lines, whole = [], False
        runner = _runner_in_place(hands, order, env)
        try:
            passing = order.target if order.staged.runner else ""
            more = _more(hands.one, order)
            lines.append(listed(hands.site, hands.one, runner, passing, env, more)[0])
            whole = True
        except VerificationError as error:
            if not order.unproved:
                raise
            lines.append(f"unproved: {error.what}")
        if not hands.manager.commands:  # what runs is what somebody started before the change
            return Proof(lines=(*lines, "no model was asked: start the server anew first"), whole=False)
        if whole:
            seen = answered(server, order.model)
            lines += seen or ("no model is installed, so none was asked: ollama pull smollm2:135m",)
            whole = bool(seen)
        return Proof(lines=tuple(lines), whole=whole)

    return prove


def _runner_in_place(hands: Hands, order: Order, env: Mapping[str, str]) -> Runner:
    one, name = hands.one, order.staged.runner or order.donor
    if name:
        return read_runner(hands.site, hands.site.join(one.libraries, name))
    passed = (runner for runner in one.runners if runner.module and not rules.passed_by(runner.name, env))
    found = max(passed, key=lambda runner: (-rules.rank(runner.library), runner.name), default=None)
    if found is None:
        what = f"{one.libraries} holds no runner."
        raise IncompatibleError(what)
    return found


def needs_again(record: Record, one: Installation) -> tuple[str, ...]:
    """Say why an order has to be carried out again; nothing where all is in place."""
    reasons = [f"{one_item.target} is gone" for one_item in record.items if not Path(one_item.target).exists()]
    for name, was, now in (
        ("Ollama", record.version, one.version.value or ""),
        ("llama.cpp", record.llama_cpp, one.llama_cpp.value or ""),
    ):
        if was and now and was != now:
            reasons.append(f"{name} was {was} and is {now}")
    return tuple(reasons)


def again(hands: Hands) -> tuple[Record, tuple[str, ...]]:
    """Return what was asked for once, and why it has to be done again.

    Raises:
        InvalidInputError: gpubuild never put anything into this installation.
    """
    record = hands.transactions.state.record()
    if record is None:
        what = f"gpubuild has put nothing into {hands.one.prefix}."
        raise InvalidInputError(what, hint="gpubuild ollama enable does that first.")
    return record, needs_again(record, hands.one)


def said(talk: Talk, lines: Iterable[str]) -> None:
    """Say each line."""
    for line in lines:
        talk.note(line)
