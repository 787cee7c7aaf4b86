"""How fast the compatibility engine decides: ``python benchmarks/resolve.py [PAIRS]``.

Measures one host again and again with warm tables, then PAIRS (10 000) different pairs of a machine and a wish,
possible or not, drawn with a fixed seed. Prints processor time of one core, which a busy machine does not change, and
fails above the bounds: 50 ms for one host, 60 s for 10 000 pairs.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from typing import Literal

from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.compat.targets import known_amd, known_cuda
from buildtool.errors import GpubuildError
from buildtool.probe.model import Device, Driver, Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall

MOST_MS = 50.0
MOST_S = 60.0
PAIRS = 10_000
AGAIN = 200
SEED = 20261123
GCC = [
    HostCompiler(family="gcc", version=f"{major}.1.0", cxx=f"/usr/bin/g++-{major}", cc=f"/usr/bin/gcc-{major}")
    for major in range(9, 17)
]
CL = [HostCompiler(family="msvc", version=f"14.{minor}.35207", cxx="cl.exe", cc="cl.exe") for minor in (29, 39, 44)]
VERSIONS: list[tuple[Literal["cuda", "rocm", "vulkan"], str]] = [
    ("cuda", "10.2.89"), ("cuda", "11.8.89"), ("cuda", "12.4.131"), ("cuda", "13.0.88"), ("rocm", "6.1.2"),
    ("rocm", "7.2.1"), ("vulkan", "1.4.313"),
]  # fmt: skip
TOOLKITS = [ToolkitInstall(kind=kind, version=version, path=f"/opt/{kind}-{version}") for kind, version in VERSIONS]
DRIVERS = [("470.256.02", "11.4"), ("550.54.14", "12.4"), ("580.95.05", "13.0")]
LINUX = [("debian", "12", "2.36"), ("debian", "13", "2.41"), ("ubuntu", "22.04", "2.35"), ("ubuntu", "24.04", "2.39")]
WISHES = [None, None, None, "cuda==13.*", "cuda<13", "cuda==11.4", "rocm>=7"]
ONE_HOST = Host(
    os=OperatingSystem(
        system="linux", machine="x86_64", id="ubuntu", version="24.04", name="Ubuntu 24.04", kernel="6.8"
    ),
    libc=Libc(name="glibc", version="2.39"),
    devices=(Device(vendor="nvidia", name="NVIDIA GeForce RTX 3060", target="sm_86", source="nvml"),),
    drivers=(Driver(vendor="nvidia", name="nvidia", version="580.95.05", cuda="13.0"),),
    host_compilers=(GCC[4],),
)


def machine(dice: random.Random, targets: list[str]) -> Host:
    """Return a random machine: system, C library, compilers, toolkits, up to three devices and a driver."""
    names = dice.sample(targets, dice.randint(0, 3))
    devices = tuple(
        Device(vendor="amd" if name.startswith("gfx") else "nvidia", name=name, target=name, source="benchmark")
        for name in names
    )
    version, offered = dice.choice(DRIVERS)
    nvidia = any(one.vendor == "nvidia" for one in devices)
    drivers = (Driver(vendor="nvidia", name="nvidia", version=version, cuda=offered),) if nvidia else ()
    toolkits = tuple(dice.sample(TOOLKITS, dice.randint(0, 3)))
    if dice.random() < 0.2:  # noqa: PLR2004 - every fifth runs Windows
        system = OperatingSystem(
            system="windows", machine="AMD64", id="windows", version="11", name="Windows 11", kernel="10.0.26100"
        )
        return Host(
            os=system, libc=Libc(name="msvcrt", version=None), host_compilers=(dice.choice(CL),), devices=devices,
            drivers=drivers, toolkits=toolkits,
        )  # fmt: skip
    name, number, glibc = dice.choice(LINUX)
    system = OperatingSystem(system="linux", machine="x86_64", id=name, version=number, name=name, kernel="6.8")
    compilers = tuple(dice.sample(GCC, dice.choice([0, 1, 1, 2, 3])))
    return Host(
        os=system, libc=Libc(name="glibc", version=glibc), host_compilers=compilers, devices=devices,
        drivers=drivers, toolkits=toolkits,
    )  # fmt: skip


def wish(dice: random.Random, targets: list[str]) -> Request:
    """Return a random wish: nothing in particular, up to three targets of one vendor, or any two."""
    kind = dice.choice(["sm_", "sm_", "gfx", ""])
    of_kind = [name for name in targets if name.startswith(kind)]
    names = dice.sample(of_kind, dice.randint(0, 3 if kind else 2))
    return Request(targets=tuple(names), toolkit=dice.choice(WISHES) if kind != "gfx" else None)


def measured(request: Request, host: Host) -> tuple[str, float]:
    """Resolve a pair; return what came of it, and the processor time in seconds."""
    start = time.process_time()
    try:
        resolve(request, host)
    except GpubuildError:
        return "refused", time.process_time() - start
    return "planned", time.process_time() - start


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    dice = random.Random(SEED)  # noqa: S311 - the same pairs every time
    targets = sorted({*known_cuda(), *known_amd()})
    _, cold = measured(Request(), ONE_HOST)  # the first one reads the tables
    warm = [1000 * measured(Request(), ONE_HOST)[1] for _ in range(AGAIN)]
    print(f"one host: {1000 * cold:.0f} ms cold; warm {statistics.median(warm):.1f} ms, {max(warm):.1f} ms at most")
    pairs = [(wish(dice, targets), machine(dice, targets)) for _ in range(count)]
    times: dict[str, list[float]] = {"planned": [], "refused": []}
    for request, host in pairs:
        kind, seconds = measured(request, host)
        times[kind].append(seconds)
    for kind, found in times.items():
        if found:
            each, most = 1000 * statistics.mean(found), 1000 * max(found)
            print(f"{len(found):>6} {kind}: {each:.2f} ms each, {most:.1f} ms at most")
    total = sum(map(sum, times.values()))
    bound = MOST_S * count / PAIRS
    print(f"{count} pairs: {total:.1f} s of processor time; bound {bound:g} s")
    if max(warm) > MOST_MS or total > bound:
        sys.exit(f"too slow: the bounds are {MOST_MS:g} ms for one host, {MOST_S:g} s for {PAIRS} pairs")


if __name__ == "__main__":
    main()
