"""How many jobs fit a machine."""

from __future__ import annotations

import pytest

from buildtool.build import jobs
from buildtool.errors import InvalidInputError
from buildtool.probe.machine import LocalMachine


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
    monkeypatch.setattr(jobs, "cpu_limit", lambda _: processors)
    monkeypatch.setattr(jobs, "memory_available_mib", lambda _: memory)
    assert jobs.job_count(None, device_code=device) == expected


def test_a_quota_of_processors_bounds_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that was started with --cpus=3 on a machine with many."""
    monkeypatch.setattr(LocalMachine, "cpu_count", lambda _: 64)
    monkeypatch.setattr(LocalMachine, "read_text", lambda _, path, *_limit: FILES.get(path))
    assert jobs.job_count(None, device_code=False) == 3


FILES = {
    "/proc/self/cgroup": "0::/\n",
    "/proc/meminfo": "MemAvailable: 268435456 kB\n",
    "/sys/fs/cgroup/cpu.max": "300000 100000\n",
}
