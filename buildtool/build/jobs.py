"""How many compilers may run at once: bounded by the processors and by the memory they need."""

from __future__ import annotations

from buildtool.errors import InvalidInputError
from buildtool.probe.machine import LocalMachine
from buildtool.probe.system import cpu_limit, memory_available_mib

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
    here = LocalMachine()
    processors, available = cpu_limit(here), memory_available_mib(here)
    if available is None:
        return processors
    step = CUDA_STEP_MIB if device_code else CXX_STEP_MIB
    return max(1, min(processors, (available - RESERVE_MIB) // step))
