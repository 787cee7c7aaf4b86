"""What a job will cost, before it runs: rows of ``data/estimates.toml``."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

from buildtool.compat.tables import Row, decode_table


class Estimate(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Processor seconds and megabytes of one kind of job; the fields are described at the head of the table."""

    backend: str
    profile: str
    base_s: int
    target_s: int
    base_mb: int
    target_mb: int
    measured: str

    def minutes(self, targets: int, cores: int) -> int:
        """Return the minutes a cold job takes on so many cores."""
        return max(1, round((self.base_s + self.target_s * targets) / 60 / cores))

    def megabytes(self, targets: int) -> int:
        """Return the size of the backend wheel, in MB."""
        return self.base_mb + self.target_mb * targets

    def capacity(self, *, cores: int, most_minutes: int | None, most_mb: int | None) -> int | None:
        """Return how many targets a job may have within its limits; None for any number, 0 for none at all."""
        bounds = []
        if most_minutes is not None:
            bounds.append(_fitting(most_minutes * 60 * cores - self.base_s, self.target_s))
        if most_mb is not None:
            bounds.append(_fitting(most_mb - self.base_mb, self.target_mb))
        known = [bound for bound in bounds if bound is not None]
        return min(known) if known else None


def _fitting(room: int, each: int) -> int | None:
    if room < 0:
        return 0
    return room // each if each else None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    estimate: tuple[Estimate, ...]


@functools.cache
def _rows() -> dict[tuple[str, str], Estimate]:
    text = resources.files("buildtool.matrix").joinpath("data", "estimates.toml").read_text("utf-8")
    return {(row.backend, row.profile): row for row in decode_table(text, _Table, "estimates.toml").estimate}


def estimate(backend: str, profile: str) -> Estimate:
    """Return what is known about a backend in a profile; the portable one's, which is the largest, where nothing is."""
    rows = _rows()
    return rows.get((backend, profile)) or rows[backend, "portable"]
