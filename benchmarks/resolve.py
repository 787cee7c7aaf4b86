"""How fast the compatibility engine decides: 10 000 pairs of a machine and a wish, on one core.

Run: ``python benchmarks/resolve.py [PAIRS]``. Prints processor time, which a busy machine does not change.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from typing import Literal

from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.compat.targets import known_amd, known_cuda
from buildtool.errors import GpubuildError
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall

BOUND_S = 60.0
COMPILERS = [
    HostCompiler(family="gcc", version=f"{major}.1.0", cxx=f"g++-{major}", cc=f"gcc-{major}") for major in range(9, 17)
]
VERSIONS: list[tuple[Literal["cuda", "rocm"], str]] = [
    ("cuda", "11.8.89"),
    ("cuda", "12.4.131"),
    ("cuda", "13.0.88"),
    ("rocm", "6.1.2"),
    ("rocm", "7.2.1"),
]
TOOLKITS = [ToolkitInstall(kind=kind, version=version, path=f"/opt/{kind}-{version}") for kind, version in VERSIONS]


def machines(dice: random.Random) -> Host:
    """Return a random Linux machine."""
    return Host(
        os=OperatingSystem(system="linux", machine="x86_64", id="debian", version="12", name="Debian", kernel="6.1"),
        libc=Libc(name="glibc", version=dice.choice(["2.31", "2.36", "2.41", "2.42"])),
        host_compilers=tuple(dice.sample(COMPILERS, dice.randint(1, 3))),
        toolkits=tuple(dice.sample(TOOLKITS, dice.randint(0, 3))),
    )


def wishes(dice: random.Random) -> Request:
    """Return a random wish, possible or not."""
    family = sorted(dice.choice([known_cuda(), known_amd()]))
    toolkit = dice.choice([None, None, "cuda==13.*", "cuda<13", "rocm>=7"])
    return Request(targets=tuple(dice.sample(family, dice.randint(1, 3))), toolkit=toolkit)


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    dice = random.Random(0)  # noqa: S311 - the same pairs every time
    tried = [(wishes(dice), machines(dice)) for _ in range(pairs)]
    counts = {"accepted": 0, "refused": 0}
    seconds = {"accepted": 0.0, "refused": 0.0}
    for wish, host in itertools.chain(tried[:1], tried):  # the first one reads the tables
        start = time.process_time()
        try:
            resolve(wish, host)
            kind = "accepted"
        except GpubuildError:
            kind = "refused"
        seconds[kind] += time.process_time() - start
        counts[kind] += 1
    for kind, count in counts.items():
        print(f"{count:>6} {kind}: {1000 * seconds[kind] / max(count, 1):.2f} ms each")
    total = sum(seconds.values())
    print(f"{pairs} pairs: {total:.1f} s of processor time; the bound for 10 000 is {BOUND_S:g} s")


if __name__ == "__main__":
    main()
