"""Reads the answer of llama-server's ``/completion`` (``tools/server/server-task.cpp``)."""

from __future__ import annotations

import msgspec

from buildtool.errors import VerificationError


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One token that could have come, with its log-probability (natural logarithm)."""

    id: int
    logprob: float


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One generated token and the best candidates at its place, best first."""

    id: int
    logprob: float
    top_logprobs: tuple[Candidate, ...]


class _Answer(msgspec.Struct, frozen=True):
    completion_probabilities: tuple[Position, ...]


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of one prompt produced."""

    positions: tuple[Position, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """Return the generated tokens."""
        return tuple(position.id for position in self.positions)


def parse_completion(body: bytes | str) -> Generation:
    """Read one answer.

    Raises:
        VerificationError: the body is not such an answer, or holds no token.
    """
    try:
        positions = msgspec.json.decode(body, type=_Answer).completion_probabilities
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        what = "llama-server answered with something that is not a completion."
        shown = body if isinstance(body, str) else body.decode("utf-8", "replace")
        raise VerificationError(what, why=str(error), details=(shown[:400],)) from error
    if not positions or any(not position.top_logprobs for position in positions):
        what = "llama-server generated nothing, or gave no probabilities."
        raise VerificationError(what)
    return Generation(positions=positions)
