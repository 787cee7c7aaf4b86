"""How long the commands take that people wait for: medians, and ratios to starting Python at all.

Run it with the Python that gpubuild is installed in:  python benchmarks/startup.py [RUNS]
The limits are promises of the README's makers: --help 0.35 s, detect and plan 0.5 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

GPUBUILD = str(Path(sys.executable).with_name("gpubuild"))
PEER = [sys.executable, "-c", "pass"]
COMMANDS = {
    "gpubuild --help": ([GPUBUILD, "--help"], 0.35),
    "gpubuild detect": ([GPUBUILD, "detect"], 0.5),
    "gpubuild plan": ([GPUBUILD, "plan"], 0.5),
    "gpubuild plan --backend cuda --target sm_90": ([GPUBUILD, "plan", "--backend", "cuda", "--target", "sm_90"], 0.5),
}


def seconds(argv: list[str]) -> float:
    """Return the wall time of one whole process."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Run every command in turn with its peer, and print medians and the median of the pairs' ratios."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"{'command':46} {'median':>8} {'min':>8} {'max':>8} {'limit':>7} {'x python':>9}")
    for name, (argv, limit) in COMMANDS.items():
        seconds(argv)
        pairs = [(seconds(argv), seconds(PEER)) for _ in range(runs)]
        times = [pair[0] for pair in pairs]
        ratio = statistics.median(ours / peer for ours, peer in pairs)
        row = f"{statistics.median(times):7.3f}s {min(times):7.3f}s {max(times):7.3f}s {limit:6.2f}s {ratio:9.1f}"
        print(f"{name:46} {row}")


if __name__ == "__main__":
    main()
