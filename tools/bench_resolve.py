"""How long the engine takes: ``python tools/bench_resolve.py [PAIRS]``; prints it and fails above the bounds.

Resolves PAIRS (10000) pairs of a machine and a wish, drawn with a fixed seed from every target and several machines.
Bounds, on one core of processor time: 50 ms for one pair, 60 s for 10 000.
"""

from __future__ import annotations

import itertools
import random
import sys
import time

from buildtool.compat import resolve, tables
from buildtool.compat.model import Request
from buildtool.errors import GpubuildError
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall

MOST_MS = 50.0
MOST_S_PER_PAIR = 60.0 / 10_000
SEED = 20261123


def machines() -> list[Host]:
    """Return machines of several kinds: systems, C libraries, compilers and installed toolkits."""
    compilers = [
        HostCompiler(family="gcc", version=f"{major}.2.0", cxx=f"/usr/bin/g++-{major}", cc=f"/usr/bin/gcc-{major}")
        for major in (11, 14)
    ]
    installs = [
        ToolkitInstall(kind="cuda", version="12.9.86", path="/opt/cuda"),
        ToolkitInstall(kind="rocm", version="6.4.3", path="/opt/rocm"),
    ]
    return [
        Host(
            os=OperatingSystem(
                system="linux", machine="x86_64", id="debian", version=version, name=f"Debian {version}", kernel="6.1"
            ),
            libc=Libc(name="glibc", version=glibc),
            host_compilers=(compiler,),
            toolkits=toolkits,
        )
        for (version, glibc), compiler, toolkits in itertools.product(
            [("12", "2.36"), ("13", "2.41")], compilers, [(), *((one,) for one in installs), tuple(installs)]
        )
    ]


def wishes() -> list[Request]:
    """Return wishes for every target, with and without one about the toolkit."""
    targets = [*tables.amd_targets(), *tables.nvidia_targets()]
    wanted = {"cuda": (None, "cuda==13.*", "cuda<13"), "rocm": (None, "rocm>=7")}
    known = [name for name in targets if name.startswith("gfx") or name in _cuda_names()]
    return [
        Request(targets=(name,), toolkit=toolkit)
        for name in known
        for toolkit in wanted["rocm" if name.startswith("gfx") else "cuda"]
    ]


def _cuda_names() -> frozenset[str]:
    return frozenset(name for row in tables.cuda_toolkits() for name in row.targets)


def answered(host: Host, wish: Request) -> bool:
    """Resolve a pair; say whether there is a plan (a refusal is an answer too)."""
    try:
        resolve(wish, host)
    except GpubuildError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    draw = random.Random(SEED)  # noqa: S311 - a fixed choice of pairs, no secret
    hosts, asked = machines(), wishes()
    answered(hosts[0], asked[0])  # the tables are read once, on the first call
    plans, worst, began = 0, 0.0, time.process_time()
    for _ in range(count):
        started = time.process_time()
        plans += answered(draw.choice(hosts), draw.choice(asked))
        worst = max(worst, time.process_time() - started)
    total = time.process_time() - began
    print(
        f"{count} pairs in {total:.1f} s of processor time: {1000 * total / count:.2f} ms each, "
        f"{1000 * worst:.1f} ms the slowest; {plans} plans, {count - plans} refusals"
    )
    if worst * 1000 > MOST_MS or total > MOST_S_PER_PAIR * count:
        sys.exit(f"too slow: the bounds are {MOST_MS:g} ms for one pair, {MOST_S_PER_PAIR * 1000:g} ms on average")


if __name__ == "__main__":
    main()
