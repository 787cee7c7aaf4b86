"""Step 4: a real model gives the same greedy tokens and nearly the same logits on the device and on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from buildtool.errors import VerificationError
from buildtool.verify.agreement import Labels, compare
from buildtool.verify.findings import Findings
from buildtool.verify.model import Agreement, Module, Options
from buildtool.verify.models import CANDIDATES, TOKENS, Model
from buildtool.verify.parse_completion import Generation
from buildtool.verify.server import Answers, Launch, ask
from buildtool.verify.subject import Subject
from buildtool.verify.variants import plainest, with_only

TITLE = "a model agrees with the CPU"
PROGRAM = "llama-server"
#: Two runs of the same code on the same input: only the order of sums could differ, and it does not.
BOUND_REPEATED = 1e-5
_INTERESTING = ("libggml-", "libcuda.", "libcublas", "libcudart", "libamdhip64", "librocblas", "libvulkan")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run to make: which artefact, on which device (None: CPU), under which name."""

    subject: Subject
    device: str | None
    name: str


def check(
    subject: Subject, devices: tuple[str, ...], modules: tuple[Module, ...], models: tuple[Model, ...], options: Options
) -> Findings:
    """Run every model on the CPU and on every device, and compare.

    The CPU must give the tiny model's known answers. Without a device a second run must be equal, and the plainest
    CPU module must agree.

    Raises:
        VerificationError: the server crashed, hung, or answered nonsense.
    """
    if subject.program(PROGRAM) is None:
        return Findings(verdict="not-proved", summary=f"the artefact has no {PROGRAM}")
    reference = Run(subject=subject, device=None, name="CPU")
    runs = [Run(subject=subject, device=device, name=device) for device in devices]
    agreements: list[Agreement] = []
    evidence: list[str] = []
    silent: list[str] = []
    if not devices:
        runs = list(_cpu_runs(subject, modules))
    for model in models:
        right = _answers(reference, model, options)
        evidence.append(_describe(reference, model, right))
        agreements += _against_expected(model, right)
        for run in runs:
            answers = _answers(run, model, options)
            evidence.append(_describe(run, model, answers))
            bound = BOUND_REPEATED if run.name == "second run" else model.bound
            agreements += _compare(model, right, answers, reference=reference.name, subject=run.name, bound=bound)
            _require_offloaded(run, answers)
            if run.device is not None and answers.offloaded is None:
                silent.append(run.device)
    return _placed(judge(tuple(agreements), tuple(evidence)), silent)


def _cpu_runs(subject: Subject, modules: tuple[Module, ...]) -> Iterator[Run]:
    yield Run(subject=subject, device=None, name="second run")
    plain = plainest(modules)
    if plain is not None:
        other = with_only(subject, plain.name, subject.scratch / "plainest-cpu")
        yield Run(subject=other, device=None, name=plain.name)


def _answers(run: Run, model: Model, options: Options) -> Answers:
    program = run.subject.program(PROGRAM)
    if program is None:
        what = f"{PROGRAM} is gone from {run.subject.directory}."
        raise VerificationError(what)
    launch = Launch(
        program=program,
        env=run.subject.env if run.device else run.subject.cpu_env,
        scratch=run.subject.scratch,
        model=model.path,
        device=run.device,
        timeout_s=options.timeouts.model,
    )
    return ask(launch, tuple(model.prompts.values()), TOKENS, CANDIDATES)


def _compare(
    model: Model, right: Answers, answers: Answers, *, reference: str, subject: str, bound: float
) -> Iterator[Agreement]:
    yield from _pairs(model, right.generations, answers.generations, reference=reference, subject=subject, bound=bound)


def _against_expected(model: Model, right: Answers) -> Iterator[Agreement]:
    """Prove the CPU itself, where the right answers are known."""
    if model.expected:
        names = {"reference": "64-bit numpy", "subject": "CPU"}
        yield from _pairs(model, model.expected, right.generations, **names, bound=model.bound)


def _pairs(
    model: Model,
    right: tuple[Generation, ...],
    answers: tuple[Generation, ...],
    *,
    reference: str,
    subject: str,
    bound: float,
) -> Iterator[Agreement]:
    for prompt, one, other in zip(model.prompts, right, answers, strict=True):
        labels = Labels(model=model.path.name, prompt=prompt, reference=reference, subject=subject)
        yield compare(one, other, bound=bound, labels=labels)


def _require_offloaded(run: Run, answers: Answers) -> None:
    """Refuse an answer that was not computed on the device: a proof of the CPU is none of the device."""
    if run.device is None or answers.offloaded is None:
        return
    done, _, wanted = answers.offloaded.partition("/")
    if done != wanted:
        what = f"Only {answers.offloaded} layers went to {run.device}."
        raise VerificationError(what)


def _placed(found: Findings, silent: list[str]) -> Findings:
    """Pass nothing that may have been computed elsewhere: the program did not say what went to those devices."""
    if found.verdict != "passed" or not silent:
        return found
    summary = f"{PROGRAM} does not say how many layers went to {', '.join(dict.fromkeys(silent))}; {found.summary}"
    return msgspec.structs.replace(found, verdict="not-proved", summary=summary)


def _describe(run: Run, model: Model, answers: Answers) -> str:
    layers = f", {answers.offloaded} layers on {run.device}" if run.device and answers.offloaded else ""
    libraries = [path for path in answers.mapped if any(part in path for part in _INTERESTING)]
    shown = f"; mapped: {' '.join(libraries)}" if libraries else ""
    return f"{model.path.name} on {run.name}{layers}{shown}"


def judge(agreements: tuple[Agreement, ...], evidence: tuple[str, ...]) -> Findings:
    """Decide: every comparison must agree; the summary names the largest difference."""
    wrong = [agreement for agreement in agreements if not agreement.agrees]
    details = tuple(_sentence(agreement) for agreement in agreements)
    if not agreements:
        return Findings(verdict="not-proved", summary="no model ran", evidence=evidence)
    if wrong:
        summary = f"{len(wrong)} of {len(agreements)} comparisons disagree: {_sentence(wrong[0])}"
        return Findings(verdict="failed", summary=summary, evidence=(*details, *evidence), agreements=agreements)
    worst = max(agreements, key=lambda agreement: agreement.max_error / agreement.bound)
    summary = (
        f"{len(agreements)} comparisons agree; largest difference {worst.max_error:.2g} of {worst.bound:g} allowed"
    )
    return Findings(verdict="passed", summary=summary, evidence=(*details, *evidence), agreements=agreements)


def _sentence(agreement: Agreement) -> str:
    parts = f", then {agreement.divergence}" if agreement.divergence else ""
    return (
        f"{agreement.model}, {agreement.prompt}: {agreement.subject} against {agreement.reference}: "
        f"{agreement.equal}/{agreement.tokens} tokens equal{parts}, "
        f"largest difference {agreement.max_error:.2g} (bound {agreement.bound:g})"
    )
