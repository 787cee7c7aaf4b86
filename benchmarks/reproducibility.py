"""What it costs to make wheels reproducible: with it against without it, in turns, in processor seconds.

Usage: ``python benchmarks/reproducibility.py BUILD_DIR [--wheel WHEEL]... [--files N] [--turns N]``

Compiling: source files of a build directory (``compile_commands.json``; not of one whose toolkit is in a root
filesystem) are compiled by their own command, and by that command less what makes it independent of place: the prefix
map, and for nvcc the path that module ids come from. There is nothing else; ``-frandom-seed`` is not needed
(ci/reproducible.sh).

Packing: the files of WHEEL are packed as scikit-build-core does it, compressed, and as gpubuild does it, once plain and
once sorted, dated and compressed.

Processor time does not depend on what else runs, but for what shared caches and cores take; so turns alternate.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shlex
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from buildtool.wheel.sealing import seal

INDEPENDENT = ("-ffile-prefix-map=", "-Xcudafe=--orig_src_path_name=")
CACHES = ("sccache", "ccache")


class Source(NamedTuple):
    """A source file: where it is compiled, and by what, with and without the options in question."""

    name: str
    folder: Path
    told: list[str]
    plain: list[str]


def sources(build: Path, suffixes: tuple[str, ...], count: int) -> list[Source]:
    """Return `count` files, spread evenly over the build."""
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    fitting = sorted((row for row in entries if row["file"].endswith(suffixes)), key=lambda row: str(row["file"]))
    found = []
    for row in fitting[:: max(1, len(fitting) // count)][:count]:
        told = shlex.split(row["command"])
        told = told[1:] if Path(told[0]).name in CACHES else told
        del told[told.index("-o") : told.index("-o") + 2]
        plain = [word for word in told if not word.startswith(INDEPENDENT)]
        if len(plain) < len(told):
            found.append(Source(Path(row["file"]).name, Path(row["directory"]), told, plain))
    return found


def compile_s(folder: Path, argv: list[str], target: Path) -> float:
    """Compile once and return processor seconds of the compiler and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*argv, "-o", str(target)], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(title: str, plain: Callable[[], float], told: Callable[[], float], turns: int) -> tuple[float, float]:
    """Measure both in turns, print the ratio of the sums, and return the sums."""
    first, second = [], []
    for turn in range(turns):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            (second if which else first).append((told if which else plain)())
    by_turn = statistics.median(b / a for a, b in zip(first, second, strict=True))
    sums = sum(first), sum(second)
    print(
        f"  {title:<34} {sums[0] / turns:6.2f} s {sums[1] / turns:6.2f} s  {sums[1] / sums[0] - 1:+6.1%}"
        f"  (median turn {by_turn - 1:+.1%})",
        flush=True,
    )
    return sums


def compiling(build: Path, suffixes: tuple[str, ...], count: int, turns: int) -> None:
    """Measure the compilation of some files."""
    total = [0.0, 0.0]
    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "object.o"
        for one in sources(build, suffixes, count):
            plain, told = compare(
                one.name,
                lambda one=one: compile_s(one.folder, one.plain, target),  # type: ignore[misc]
                lambda one=one: compile_s(one.folder, one.told, target),  # type: ignore[misc]
                turns,
            )
            total[0] += plain
            total[1] += told
    if total[0]:
        print(f"  all of {'/'.join(suffixes)}: {total[1] / total[0] - 1:+.1%}")


def pack_s(wheel: Path, *, sealed: bool) -> float:
    """Pack the files of a wheel and return processor seconds."""
    with zipfile.ZipFile(wheel) as old:
        files = [(info, old.read(info)) for info in old.infolist()]
    with tempfile.TemporaryDirectory() as name:
        draft = Path(name) / wheel.name
        began = time.process_time()
        method = zipfile.ZIP_STORED if sealed else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(draft, "w", method) as made:
            for info, data in files:
                hashlib.sha256(data).hexdigest()
                made.writestr(zipfile.ZipInfo(info.filename, info.date_time), data, method)
        if sealed:
            (Path(name) / "sealed").mkdir()
            seal(draft, Path(name) / "sealed", None, lambda _info, _files: {})
        return time.process_time() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--wheel", type=Path, action="append", default=[])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; mean of {given.turns} turns, without and with it")
    for suffixes in ((".c", ".cpp", ".cc"), (".cu",)):
        compiling(given.build, suffixes, given.files, given.turns)
    for wheel in given.wheel:
        size = f"packing {wheel.name.partition('-')[0]}, {wheel.stat().st_size / 1e6:.0f} MB"
        compare(size, lambda w=wheel: pack_s(w, sealed=False), lambda w=wheel: pack_s(w, sealed=True), given.turns)  # type: ignore[misc]
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
