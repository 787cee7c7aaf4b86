"""How fast `gpubuild inspect` reads large libraries: python benchmarks/reading.py [--runs N] LIBRARY...

Measures whole processes, all of them in turn in each run: `inspect`, `cat` to nowhere, and the vendor's own lister
where it is on PATH (CUOBJDUMP and LLVM_OBJDUMP name other ones): `cuobjdump -lelf` for NVIDIA's code, `llvm-objdump
--offloading` for AMD's, which writes every code object to a file that is thrown away. Prints medians and the median of
the ratios within a run, which a busy machine changes least. Fails above 200 MB of memory, or where inspect takes more
than a quarter of the vendor's time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

MOST_MB = 200.0
MOST_OF_PEER = 0.25
RUNS = 5
OURS = "gpubuild inspect"
CAT = "cat"
LINK = "library"


class Run(NamedTuple):
    """One process: seconds on the clock, seconds of a processor, megabytes at most."""

    wall: float
    cpu: float
    memory: float


def measured(argv: list[str], library: Path) -> Run:
    """Run a process on a library, in a folder of its own with a link to it, and measure it."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, LINK).symlink_to(library)  # llvm-objdump writes beside the name it is given
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed with {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def peers(library: Path) -> dict[str, list[str]]:
    """Return what to run for a library: ours, `cat`, and the vendor's tools that are here."""
    commands = {
        OURS: [str(Path(sys.executable).with_name("gpubuild")), "inspect", LINK],
        CAT: ["cat", LINK],
    }
    # As text, from another process: a child's memory is at least what its parent had.
    words = [*commands[OURS][:-1], str(library)]
    kinds = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if "cubin" in kinds and (tool := shutil.which(os.environ.get("CUOBJDUMP", "cuobjdump"))):
        commands["cuobjdump -lelf"] = [tool, "-lelf", LINK]
    if "hsaco" in kinds and (tool := shutil.which(os.environ.get("LLVM_OBJDUMP", "llvm-objdump"))):
        commands["llvm-objdump --offloading"] = [tool, "--offloading", LINK]
    return commands


def compare(library: Path, runs: int) -> bool:
    """Measure a library with everything; print a table, and return whether the bounds hold."""
    commands = peers(library)
    taken: dict[str, list[Run]] = {name: [] for name in commands}
    for argv in commands.values():  # warm: the file is in the page cache afterwards
        measured(argv, library)
    for _ in range(runs):
        for name, argv in commands.items():
            taken[name].append(measured(argv, library))
    print(f"{library.name}, {library.stat().st_size / 1e6:.0f} MB; median of {runs}")
    print(f"{'':28} {'wall':>9} {'cpu':>9} {'memory':>9} {'inspect / it':>13}")
    good = True
    for name, rows in taken.items():
        wall, cpu, memory = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(ours.wall / peer.wall for ours, peer in zip(taken[OURS], rows, strict=True))
        print(f"{name:28} {wall:7.2f} s {cpu:7.2f} s {memory:6.0f} MB {ratio:13.3f}")
        good &= name in (OURS, CAT) or ratio <= MOST_OF_PEER
    return good and max(row.memory for row in taken[OURS]) <= MOST_MB


def main(arguments: list[str]) -> int:
    """Measure every library that is named."""
    runs = RUNS
    if arguments[:1] == ["--runs"]:
        runs, arguments = int(arguments[1]), arguments[2:]
    results = [compare(Path(name).resolve(), runs) for name in arguments]
    return int(not results or not all(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
