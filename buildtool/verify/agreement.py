"""Compares two generations of one model and one prompt; pure.

Both runs choose greedily, so that as long as they chose the same tokens they saw the same input and their
log-probabilities can be compared. Rounding may turn the choice only where the reference itself was undecided,
that is where its two best candidates are closer than the bound; after such a place nothing is compared.
"""

from __future__ import annotations

import msgspec

from buildtool.verify.model import Agreement
from buildtool.verify.parse_completion import Generation, Position

#: Largest difference of two log-probabilities for a model with 32-bit weights: both sides round activations to
#: 16 bit in the key/value cache and may use tensor cores with 10-bit mantissas (TF32), i.e. relative errors of
#: some 5e-4 on logits of magnitude 10, summed over a few layers.
BOUND_F32 = 0.05
#: The same for quantised weights: backends quantise the activations too, in blocks of different sizes (256 values on
#: the CPU for K-quants, 32 on CUDA) and with different rounding. Measured on SmolLM2-135M Q4_1, ggml 0.25.3, 2026-11,
#: largest difference over the ten best candidates: ggml's CPU modules haswell and x64 from each other 0.45, CUDA on an
#: H100 from the CPU 0.90 (every operation of that build agreed with the CPU, 16875 of 16875 cases).
BOUND_QUANTISED = 1.0
#: Another token than the reference's is accepted where its two best are closer than this share of the bound.
TIE_SHARE = 0.5


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared with what, for the report."""

    model: str
    prompt: str
    reference: str
    subject: str


def compare(reference: Generation, subject: Generation, *, bound: float, labels: Labels) -> Agreement:
    """Compare position by position up to the first place where the runs part.

    Args:
        reference: the run that counts as right.
        subject: the run to prove.
        bound: largest absolute difference of log-probabilities that still agrees.
        labels: names for the report.
    """
    equal = _equal_prefix(reference.tokens, subject.tokens)
    seen = min(equal + 1, len(reference.positions), len(subject.positions))
    errors = [
        error
        for left, right in zip(reference.positions[:seen], subject.positions[:seen], strict=True)
        for error in position_errors(left, right)
    ]
    parts = equal < max(len(reference.positions), len(subject.positions))
    undecided = equal < len(reference.positions) and margin(reference.positions[equal]) < bound * TIE_SHARE
    worst = max(errors, default=0.0)
    divergence = ""
    if parts and undecided and _listed(reference, subject, equal):
        divergence = (
            f"the reference's two best tokens at position {equal} are only "
            f"{margin(reference.positions[equal]):.4f} apart"
        )
    return Agreement(
        model=labels.model,
        prompt=labels.prompt,
        reference=labels.reference,
        subject=labels.subject,
        tokens=len(reference.positions),
        equal=equal,
        divergence=divergence,
        max_error=worst,
        bound=bound,
        compared=len(errors),
        agrees=bool(errors) and worst <= bound and (not parts or bool(divergence)),
    )


def _listed(reference: Generation, subject: Generation, place: int) -> bool:
    """Tell whether the subject's token at `place` is one of the reference's candidates: of another nothing is known."""
    candidates = {candidate.id for candidate in reference.positions[place].top_logprobs}
    return place < len(subject.positions) and subject.positions[place].id in candidates


def margin(position: Position) -> float:
    """Return how far the best candidate leads the second, in log-probability; infinite if there is only one."""
    ordered = sorted((candidate.logprob for candidate in position.top_logprobs), reverse=True)
    return ordered[0] - ordered[1] if len(ordered) > 1 else float("inf")


def position_errors(reference: Position, subject: Position) -> tuple[float, ...]:
    """Return the differences of log-probabilities at one position, one for every candidate of the reference.

    A candidate that the subject does not list is known to be no better there than the worst it lists: the
    difference to that is a lower bound of the error, and 0 when the order allows it.
    """
    listed = {candidate.id: candidate.logprob for candidate in subject.top_logprobs}
    floor = min(listed.values())
    return tuple(
        abs(candidate.logprob - listed[candidate.id]) if candidate.id in listed else max(0.0, candidate.logprob - floor)
        for candidate in reference.top_logprobs
    )


def _equal_prefix(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    for number, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return number
    return min(len(left), len(right))
