"""How many compilers may run at once: bounded by the processors and by the memory they need."""

from __future__ import annotations

import os
from pathlib import Path

from buildtool.errors import InvalidInputError

# Peak resident memory of the heaviest compile step, MiB. CUDA: cicc on ggml-cuda's mmq/fattn instances with one
# target; C++: the server's and the CPU variants' largest files. Measured with GNU time on llama.cpp 0.5, 2026-11.
CUDA_STEP_MIB = 2200
CXX_STEP_MIB = 1200
RESERVE_MIB = 512


def job_count(requested: int | None, *, device_code: bool) -> int:
    """Return how many jobs Ninja may run.

    Args:
        requested: the user's ``--jobs``, or None to decide here.
        device_code: whether GPU kernels are compiled (heavier than C++).

    Raises:
        InvalidInputError: `requested` is not positive.
    """
    if requested is not None:
        if requested < 1:
            what = f"--jobs {requested} cannot build anything."
            raise InvalidInputError(
                what, hint="Give a number from 1, or leave --jobs out to use what fits this machine."
            )
        return requested
    processors = _processors()
    available = _available_mib()
    if available is None:
        return processors
    step = CUDA_STEP_MIB if device_code else CXX_STEP_MIB
    return max(1, min(processors, (available - RESERVE_MIB) // step))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _available_mib() -> int | None:
    """Memory that can be had without swapping, MiB: the kernel's estimate, capped by the cgroup's limit."""
    try:
        fields = dict(
            line.split(":", maxsplit=1)
            for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            if ":" in line
        )
        available = int(fields["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return available
    return min(available, (limit - used) // (1 << 20))
