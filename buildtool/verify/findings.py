"""What one step hands back, and how a step that breaks off is turned into a finding."""

from __future__ import annotations

import re

import msgspec

from buildtool.errors import GpubuildError
from buildtool.verify.loading import LoaderProof
from buildtool.verify.model import Agreement, Figure, ListedDevice, Module, Operations, Verdict

EVIDENCE_LINES = 12
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a step in one sentence, its evidence, and the values it found for the report."""

    verdict: Verdict
    summary: str
    evidence: tuple[str, ...] = ()
    modules: tuple[Module, ...] = ()
    devices: tuple[ListedDevice, ...] = ()
    operations: tuple[Operations, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    figures: tuple[Figure, ...] = ()
    loader: LoaderProof | None = None


def broken_off(error: GpubuildError) -> Findings:
    """Turn an error inside a step into a failed finding: the artefact crashed, hung or answered nonsense."""
    why = (error.why,) if error.why else ()
    return Findings(verdict="failed", summary=error.what, evidence=(*why, *error.details[-EVIDENCE_LINES:]))


def last_lines(text: str, count: int = EVIDENCE_LINES) -> tuple[str, ...]:
    """Return the last lines of `text` that are not empty, without their colours."""
    plain = _COLOUR.sub("", text)
    return tuple([line.rstrip() for line in plain.splitlines() if line.strip()][-count:])
