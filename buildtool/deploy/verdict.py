"""What an installation does with a device, by Ollama's own rules, and what would change it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from buildtool.compat import tables
from buildtool.compat.ladder import stand_in
from buildtool.compat.siblings import identical
from buildtool.compat.targets import Target, parse_target
from buildtool.deploy import rules
from buildtool.deploy.model import Runner, State, Verdict
from buildtool.errors import GpubuildError
from buildtool.probe.machine import System
from buildtool.probe.model import Device

LIBRARY = {"nvidia": "CUDA", "amd": "ROCm"}


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at besides a device."""

    runners: tuple[Runner, ...]
    environment: Mapping[str, str]
    system: System
    discovers: bool = True


class _Case(msgspec.Struct, frozen=True, kw_only=True):
    """A device as one runner would see it: kept or not, and why not."""

    runner: Runner
    kept: bool
    reason: str


def judge_all(devices: tuple[Device, ...], around: Surroundings) -> tuple[Verdict, ...]:
    """Say what Ollama does with each device; of several folders that keep one, its rule for overlaps decides."""
    covered: dict[str, dict[str, frozenset[str]]] = {}
    for number, device in enumerate(devices):
        library = LIBRARY.get(device.vendor, "")
        for case in _cases(device, library, around):
            if case.kept:
                mine = covered.setdefault(library, {})
                mine[case.runner.name] = mine.get(case.runner.name, frozenset()) | {str(number)}
    lost = {library: rules.overlapped(mine) for library, mine in covered.items()}
    return tuple(
        judge(
            device,
            around,
            {name for name, numbers in lost.get(LIBRARY.get(device.vendor, ""), {}).items() if str(number) in numbers},
        )
        for number, device in enumerate(devices)
    )


def judge(device: Device, around: Surroundings, losing: Collection[str] = ()) -> Verdict:
    """Say what Ollama does with a device; folders that lose it to others are passed over."""
    name, target = device.name, device.target or ""
    if not device.usable:
        return Verdict(device=name, target=target, state="dropped", reason="its driver was told to leave it alone")
    if not around.discovers:
        reason = "this generation of Ollama chooses by its own rules: its log tells"
        return Verdict(device=name, target=target, state="unproved", reason=reason)
    library = LIBRARY.get(device.vendor, "")
    cases = tuple(_cases(device, library, around)) if library else ()
    kept = [case for case in cases if case.kept and case.runner.name not in losing]
    integrated = _integrated(device, library, around)
    if kept and not integrated:
        best = max(kept, key=lambda case: case.runner.name)
        return Verdict(
            device=name, target=target, state="used", library=library, runner=best.runner.name, reason=best.reason
        )
    vulkan = _vulkan(around)
    if vulkan is not None and not _integrated(device, "Vulkan", around):
        reason = _reason(cases, library) + "; Vulkan is left, if the card's Vulkan driver works"
        return Verdict(
            device=name, target=target, state="unproved", library="Vulkan", runner=vulkan.name, reason=reason,
            would="" if kept else _would(device, cases, around),
        )  # fmt: skip
    reason = integrated if kept or not cases else _reason(cases, library)
    would = "OLLAMA_IGPU_ENABLE=1 were set" if kept else _would(device, cases, around)
    state: State = "dropped" if cases else "absent"
    runner = kept[0].runner.name if kept else cases[-1].runner.name if cases else ""
    return Verdict(
        device=name, target=target, state=state, library=library, runner=runner,
        reason=reason or _reason(cases, library), would=would,
    )  # fmt: skip


def _integrated(device: Device, library: str, around: Surroundings) -> str:
    if not device.integrated or rules.keeps_integrated(library, around.environment, around.system):
        return ""
    return "it is part of the processor, and those are dropped without OLLAMA_IGPU_ENABLE=1"


def _vulkan(around: Surroundings) -> Runner | None:
    found = [one for one in _looked_at(around) if one.library == "Vulkan"]
    return max(found, key=lambda one: one.name, default=None)


def _looked_at(around: Surroundings) -> Iterator[Runner]:
    return (one for one in around.runners if one.module and not rules.passed_by(one.name, around.environment))


def _cases(device: Device, library: str, around: Surroundings) -> Iterator[_Case]:
    for runner in around.runners:
        if runner.library != library or not runner.module:
            continue
        skipped = rules.passed_by(runner.name, around.environment)
        if skipped:
            yield _Case(runner=runner, kept=False, reason=skipped)
        elif library == "CUDA":
            yield _cuda(device, runner)
        else:
            yield _rocm(device, runner, around)


def _cuda(device: Device, runner: Runner) -> _Case:
    capability = device.compute_capability or _capability(device.target)
    if not capability:
        return _Case(runner=runner, kept=True, reason="its compute capability is not known, so the rule does not hold")
    number, archs = rules.arch_number(capability), rules.archs_of(runner.targets)
    words = ",".join(map(str, archs))
    if archs and number not in archs:
        return _Case(
            runner=runner, kept=False, reason=f"compute capability {capability} ({number}) is not in ARCHS {words}"
        )
    return _Case(runner=runner, kept=True, reason=f"compute capability {capability} is in its ARCHS")


def _capability(target: str | None) -> str:
    digits = (target or "").removeprefix("sm_").rstrip("af")
    return f"{digits[:-1]}.{digits[-1]}" if digits.isdigit() and len(digits) > 1 else ""


def _rocm(device: Device, runner: Runner, around: Surroundings) -> _Case:
    own = (device.target or "").partition(":")[0]
    passing = rules.override_target(around.environment, around.system)
    chip = passing or own
    as_what = f"{chip} (HSA_OVERRIDE_GFX_VERSION)" if passing and passing != own else chip
    if not chip:
        return _Case(runner=runner, kept=False, reason="its processor is not known")
    if not rules.has_rocblas(chip, runner.rocblas):
        words = f"no rocBLAS table for {as_what}: it has {' '.join(runner.rocblas)}"
        return _Case(runner=runner, kept=False, reason=words)
    held = {target.partition(":")[0] for target in runner.targets}
    if chip not in held:
        return _Case(runner=runner, kept=False, reason=f"{runner.module} holds no code for {as_what}")
    return _Case(runner=runner, kept=True, reason=f"it holds code and rocBLAS tables for {as_what}")


def _reason(cases: tuple[_Case, ...], library: str) -> str:
    if not cases:
        return f"no runner folder with a module for {library}" if library else "no library of Ollama is for its maker"
    shown: dict[str, list[str]] = {}
    for case in cases:
        if not case.kept:
            shown.setdefault(case.reason, []).append(case.runner.name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in shown.items())


def _would(device: Device, cases: tuple[_Case, ...], around: Surroundings) -> str:
    """Say what would make a device used; "" when nothing is known to."""
    (target,) = _parsed(device.target)[:1] or (None,)
    if target is None:
        return ""
    if target.platform == "rocm" and cases:
        words = [*_override_words(target, cases, around), *_sibling_words(target, cases)]
        if words:
            return ", or ".join(words)
    folder = "cuda_" if target.platform == "cuda" else "rocm_"
    return f"there were a {folder}… runner with code for {target}"


def _parsed(text: str | None) -> tuple[Target, ...]:
    try:
        return parse_target(text) if text else ()
    except GpubuildError:
        return ()


def _override_words(target: Target, cases: Iterable[_Case], around: Surroundings) -> list[str]:
    other = stand_in(target)
    if around.system != "linux" or not other or rules.override_target(around.environment, around.system):
        return []
    served = [case.runner.name for case in cases if _serves(case.runner, other)]
    value = tables.amd_targets()[target.chip].hsa_override
    return [f"HSA_OVERRIDE_GFX_VERSION={value} were set ({served[-1]} serves {other})"] if served else []


def _sibling_words(target: Target, cases: Iterable[_Case]) -> list[str]:
    for case in cases:
        donors = [chip for chip in identical(target.chip) if _serves(case.runner, chip)]
        if donors:
            return [f"the {donors[0]} code of {case.runner.name} were retargeted to {target.chip}"]
    return []


def _serves(runner: Runner, chip: str) -> bool:
    held = {target.partition(":")[0] for target in runner.targets}
    return chip in held and rules.has_rocblas(chip, runner.rocblas)
