from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.errors import VerificationError
from buildtool.verify.agreement import Labels, compare, margin
from buildtool.verify.parse_completion import Candidate, Generation, Position, parse_completion

LABELS = Labels(model="m", prompt="p", reference="CPU", subject="CUDA0")


def position(*candidates: tuple[int, float]) -> Position:
    return Position(
        id=candidates[0][0],
        logprob=candidates[0][1],
        top_logprobs=tuple(Candidate(id=token, logprob=value) for token, value in candidates),
    )


def generation(*positions: Position) -> Generation:
    return Generation(positions=positions)


def test_the_same_answer_agrees() -> None:
    one = generation(position((7, -0.1), (8, -2.0)), position((9, -0.2), (7, -3.0)))
    result = compare(one, one, bound=0.05, labels=LABELS)
    assert result.agrees
    assert (result.equal, result.tokens, result.max_error, result.compared) == (2, 2, 0.0, 4)


def test_another_token_fails_when_the_reference_was_sure() -> None:
    right = generation(position((7, -0.1), (8, -2.0)))
    wrong = generation(position((8, -0.1), (7, -2.0)))
    result = compare(right, wrong, bound=0.25, labels=LABELS)
    assert not result.agrees
    assert result.equal == 0
    assert result.divergence == ""


def test_another_token_is_allowed_where_the_reference_was_undecided_and_is_reported() -> None:
    right = generation(position((7, -0.70), (8, -0.71)), position((1, -0.1), (2, -9.0)))
    turned = generation(position((8, -0.70), (7, -0.71)), position((5, -0.1), (6, -9.0)))
    result = compare(right, turned, bound=0.05, labels=LABELS)
    assert result.agrees
    assert "position 0" in result.divergence
    assert result.compared == 2


def test_a_token_that_the_reference_does_not_list_is_no_turn_of_rounding() -> None:
    """Its two best are close, but this one is neither: how unlikely it was, nobody knows."""
    right = generation(position((7, -0.9), (8, -1.1)))
    other = generation(position((9, -0.75), (7, -1.5), (8, -1.7)))
    assert not compare(right, other, bound=1.0, labels=LABELS).agrees


def test_the_same_tokens_with_other_logits_fail() -> None:
    right = generation(position((7, -0.1), (8, -2.0)))
    shifted = generation(position((7, -0.1), (8, -2.4)))
    result = compare(right, shifted, bound=0.25, labels=LABELS)
    assert not result.agrees
    assert result.max_error == pytest.approx(0.4)


def test_a_candidate_that_is_not_listed_counts_at_least_its_distance_to_the_last_listed() -> None:
    right = generation(position((7, -0.1), (8, -1.0)))
    other = generation(position((7, -0.1), (9, -3.0)))
    result = compare(right, other, bound=0.25, labels=LABELS)
    assert result.max_error == pytest.approx(2.0)


def test_a_run_that_stops_early_does_not_agree() -> None:
    long = generation(position((7, -0.1), (8, -2.0)), position((9, -0.2), (7, -3.0)))
    short = generation(position((7, -0.1), (8, -2.0)))
    assert not compare(long, short, bound=0.25, labels=LABELS).agrees
    assert not compare(short, long, bound=0.25, labels=LABELS).agrees


def test_a_single_candidate_is_a_sure_choice() -> None:
    assert margin(position((7, -0.1))) == float("inf")


_LOGPROBS = st.lists(st.floats(-20, -0.01), min_size=2, max_size=6)
_POSITIONS = st.lists(_LOGPROBS, min_size=1, max_size=6).map(
    lambda rows: generation(
        *(position(*enumerate(sorted(row, reverse=True), start=10 * n)) for n, row in enumerate(rows))
    )
)


@given(_POSITIONS, st.floats(-0.04, 0.04))
def test_a_shift_within_the_bound_agrees_and_is_measured(one: Generation, shift: float) -> None:
    other = generation(
        *(
            position(*((candidate.id, candidate.logprob + shift) for candidate in place.top_logprobs))
            for place in one.positions
        )
    )
    result = compare(one, other, bound=0.05, labels=LABELS)
    assert result.agrees
    assert result.max_error == pytest.approx(abs(shift), abs=1e-9)


@given(_POSITIONS, _POSITIONS)
def test_agreement_never_hides_an_error(one: Generation, other: Generation) -> None:
    result = compare(one, other, bound=0.05, labels=LABELS)
    if result.agrees:
        assert result.max_error <= 0.05
        assert result.equal == result.tokens or margin(one.positions[result.equal]) < 0.05


ANSWER = """{"content": " Paris", "tokens": [], "completion_probabilities": [
  {"id": 7, "token": " Paris", "bytes": [32], "logprob": -0.25,
   "top_logprobs": [{"id": 7, "token": " Paris", "bytes": [32], "logprob": -0.25},
                    {"id": 9, "token": " the", "bytes": [32], "logprob": -2.5}]}]}"""


def test_an_answer_of_the_server_is_read() -> None:
    read = parse_completion(ANSWER)
    assert read.tokens == (7,)
    assert [candidate.logprob for candidate in read.positions[0].top_logprobs] == [-0.25, -2.5]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"\xff\xfe", b'{"content": "x"}', b'{"completion_probabilities": []}',
     b'{"completion_probabilities": [{"id": 1, "logprob": null, "top_logprobs": []}]}',
     b'{"completion_probabilities": [{"id": 1, "logprob": -1.0, "top_logprobs": []}]}'],
)  # fmt: skip
def test_anything_else_is_a_wrong_answer(body: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_completion(body)
