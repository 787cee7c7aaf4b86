"""How many jobs fit a machine."""

from __future__ import annotations

import pytest

from buildtool.build import jobs
from buildtool.errors import InvalidInputError


@pytest.mark.parametrize("wrong", [0, -3])
def test_a_job_count_that_builds_nothing_is_refused(wrong: int) -> None:
    with pytest.raises(InvalidInputError, match="cannot build anything"):
        jobs.job_count(wrong, device_code=True)


def test_the_user_knows_best() -> None:
    assert jobs.job_count(64, device_code=True) == 64


@pytest.mark.parametrize(
    ("processors", "memory", "device", "expected"),
    [(2, 24_000, True, 2), (32, 8_000, True, 3), (32, 8_000, False, 6), (4, 600, True, 1), (8, None, True, 8)],
)
def test_memory_bounds_the_jobs(
    monkeypatch: pytest.MonkeyPatch, processors: int, memory: int | None, *, device: bool, expected: int
) -> None:
    monkeypatch.setattr(jobs, "_processors", lambda: processors)
    monkeypatch.setattr(jobs, "_available_mib", lambda: memory)
    assert jobs.job_count(None, device_code=device) == expected
