"""Damage recordings the way the world does: cut, doubled, shuffled, overwritten, made huge.

``python tests/unit/probe/mutations.py [COUNT]`` mutates 20 000 (or COUNT) recordings and reports tracebacks and hangs.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from probe_captures import ROOT, gpu_captures  # type: ignore[import-not-found]

from buildtool.probe.assemble import GpuFacts, assemble
from buildtool.probe.registry import parser
from buildtool.probe.sighting import Report
from buildtool.probe.sources import kfd
from buildtool.probe.toolkits import parse_hipconfig, parse_nvcc

SLOW_S = 2.0
MEANINGFUL = (
    *'\0\n\t:|,<>{}[]"\\0é٣',
    *("\r\n", " = ", "GPU", "N/A", "ERR!", "-1", "9" * 26, "1e999", "0x", "gfx", "null"),
    *("\ud7ff", "\u2028", "\x1b[31m", "<!ENTITY a 'b'>"),
)


def recordings() -> list[tuple[str, str]]:
    """Return tool and text of every recording; the files of a KFD tree are joined."""
    found: list[tuple[str, str]] = []
    for row in gpu_captures():
        path = ROOT / row["path"]
        files = sorted(path.rglob("properties"))[:12] if path.is_dir() else [path]
        found.append((row["tool"], "\x1e".join(file.read_text(encoding="utf-8", errors="replace") for file in files)))
    return found


def mutate(text: str, chance: random.Random, rounds: int) -> str:
    """Apply `rounds` random damages to `text`."""
    for _ in range(rounds):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice((1, 1, 3, 20, 400)))
        kind = chance.randrange(8)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[:at] + text[to:]
        elif kind == 2:
            text = text[:at] + text[at:to] * chance.choice((2, 3, 50)) + text[to:]
        elif kind == 3:
            text = text[:at] + chance.choice(MEANINGFUL) + text[at:]
        elif kind == 4:
            text = text[:at] + chance.choice(MEANINGFUL) * chance.choice((1, 100)) + text[to:]
        elif kind == 5:
            lines = text.splitlines(keepends=True)
            chance.shuffle(lines)
            text = "".join(lines)
        elif kind == 6:
            text = text[:at] + "".join(chr(chance.randrange(1, 0x2FF)) for _ in range(to - at)) + text[to:]
        else:
            text = text[:at] + text[at:to].swapcase() + text[to:]
    return text


def read(tool: str, text: str) -> tuple[Report, GpuFacts]:
    """Parse and complete `text` as `detect --replay` does."""
    if tool == "kfd":
        parts = text.split("\x1e")
        report = kfd.parse([kfd.Node(number=number, properties=part) for number, part in enumerate(parts)])
    else:
        report = parser(tool)(text)
    parse_nvcc(text)
    parse_hipconfig(text)
    return report, assemble(((tool, report),), verbose=True)


def main() -> int:
    """Mutate, read, and count what went wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    originals, chance, failures = recordings(), random.Random(20_261_123), 0  # noqa: S311 - damage, not secrets
    slowest, start = 0.0, time.monotonic()
    for number in range(count):
        tool, text = originals[number % len(originals)]
        damaged = mutate(text, chance, chance.choice((1, 2, 5)))
        began = time.thread_time()
        try:
            read(tool, damaged)
        except Exception as error:  # noqa: BLE001 - finding them is the purpose
            failures += 1
            sys.stdout.write(f"{tool}: {type(error).__name__}: {error}\n")
        took = time.thread_time() - began
        slowest = max(slowest, took)
        failures += took > SLOW_S
    sys.stdout.write(
        f"{count} mutations of {len(originals)} recordings: {failures} failures, slowest {slowest:.3f} s, "
        f"{time.monotonic() - start:.1f} s in all\n"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
