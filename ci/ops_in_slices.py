"""`test-backend-ops` in slices, for a device on which the whole of it takes hours (Vulkan on lavapipe).

Usage: python ci/ops_in_slices.py PROGRAM DONE [--backend Vulkan0] [--workers N] [--seconds S]

PROGRAM is test-backend-ops of installed wheels, or a script that starts it with its environment. Every case that the
backend says it supports is run once, in processes of a few cases each; DONE gets a line for each, `STATE<tab>CASE`, and
a second call goes on where the first stopped. Operations come whole, the quick ones first; of FLASH_ATTN_EXT, which has
thousands of kernels, one slice of every kind comes before the second of any. States: OK, FAIL, not-supported (by the
processor, which is the judge), CRASH (the process ended there), silent (no word of it). Exit code 1 when one is FAIL,
CRASH or silent, 3 when time ran out first.
"""

from __future__ import annotations

import argparse
import csv
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TextIO

SLICE = 60  # cases of one process
SLICES = {"MUL_MAT": 10, "MUL_MAT_ID": 10, "FLASH_ATTN_EXT": 24, "CONV_2D": 40, "CONV_3D": 30}
KIND = ("hsk", "hsv", "type_K", "type_V")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"^(?:\[[A-Z0-9_]+\] .*? {2,})?\s*(?P<case>[A-Z0-9_]+\(.*\)): .*?(?P<state>OK|FAIL|not supported)")
BAD = ("FAIL", "CRASH", "silent")


def supported(program: Path, backend: str) -> list[str]:
    """Return the names of all cases that the backend supports, in the program's order."""
    done = subprocess.run(
        [program, "support", "-b", backend, "--output", "csv"], check=True, stdout=subprocess.PIPE, text=True
    )
    rows = csv.DictReader(line for line in done.stdout.splitlines() if line.startswith('"'))
    return [f"{row['op_name']}({row['op_params']})" for row in rows if row["supported"] == "1"]


def value(case: str, name: str) -> str:
    """Return one parameter of a case."""
    found = re.search(rf"\b{name}=(\[[^\]]*\]|[^,)]*)", case)
    return found[1] if found else ""


def kind(case: str) -> tuple[object, ...]:
    """Return what decides an attention kernel: sizes, types, one token or many, and whether the length is even."""
    return *(value(case, name) for name in KIND), value(case, "nb") == "1", int(value(case, "kv")) % 32 == 0


def slices(cases: list[str]) -> list[list[str]]:
    """Cut the cases into what one process runs."""
    groups: dict[tuple[str, tuple[object, ...]], list[str]] = defaultdict(list)
    for case in cases:
        name = case.split("(")[0]
        groups[name, kind(case) if name == "FLASH_ATTN_EXT" else ()].append(case)
    cut = []
    for (name, _), group in groups.items():
        size = SLICES.get(name, SLICE)
        for turn, at in enumerate(range(0, len(group), size)):
            attention = name == "FLASH_ATTN_EXT"
            cut.append(((attention, name in SLICES, turn if attention else 0), group[at : at + size]))
    return [group for _, group in sorted(cut, key=lambda found: found[0])]


class Runner:
    """Workers that take slices, and what became of every case."""

    def __init__(self, program: Path, backend: str, out: TextIO, work: list[list[str]]) -> None:
        self.counts: Counter[str] = Counter()
        self._argv = [str(program), "test", "-b", backend, "-o"]
        self._out = out
        self._work: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        for group in work:
            self._work.put(group)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = threading.Event()

    def _say(self, state: str, case: str) -> None:
        with self._lock:
            self._out.write(f"{state}\t{case}\n")
            self._out.flush()
            self.counts[state] += 1

    def work(self) -> None:
        """Run slices until there are none, or it is stopped."""
        while not self.stopped.is_set():
            try:
                left = self._work.get_nowait()
            except queue.Empty:
                return
            while left and not self.stopped.is_set():
                left = self._slice(left)

    def _slice(self, cases: list[str]) -> list[str]:
        """Run cases in one process; return those that it did not come to."""
        argv = [*self._argv, ",".join(cases)]
        program = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._running.add(program)
        left = list(cases)
        for line in program.stdout or ():
            found = LINE.match(COLOUR.sub("", line))
            if found is not None and found["case"] in left:
                left.remove(found["case"])
                self._say(found["state"].replace(" ", "-"), found["case"])
        code = program.wait()
        self._running.discard(program)
        if self.stopped.is_set() or not left:
            return []
        if code < 0 or code > 128:  # noqa: PLR2004 - ended by a signal, also below a script
            self._say("CRASH", left[0])
            return left[1:]
        for case in left:
            self._say("silent", case)
        return []

    def stop(self) -> None:
        """End what runs; its cases count as not run."""
        self.stopped.set()
        for program in tuple(self._running):
            os.killpg(program.pid, signal.SIGKILL)


def main() -> int:
    """Run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda text: Path(text).absolute())
    parser.add_argument("done", type=Path)
    parser.add_argument("--backend", default="Vulkan0")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    wish = parser.parse_args()
    wish.done.touch()
    lines = (line.split("\t", 1) for line in wish.done.read_text("utf-8").splitlines())
    states = {case: state for state, case in lines}
    every = supported(wish.program, wish.backend)
    end = time.monotonic() + wish.seconds
    with wish.done.open("a", encoding="utf-8") as out:
        runner = Runner(wish.program, wish.backend, out, slices([case for case in every if case not in states]))
        runner.counts.update(states[case] for case in every if case in states)
        workers = [threading.Thread(target=runner.work, daemon=True) for _ in range(wish.workers)]
        for worker in workers:
            worker.start()
        try:
            while time.monotonic() < end and any(worker.is_alive() for worker in workers):
                time.sleep(0.5)
        finally:
            runner.stop()
            for worker in workers:
                worker.join()
    ran = sum(runner.counts.values())
    print(f"{ran} of {len(every)} cases: {', '.join(f'{n} {state}' for state, n in sorted(runner.counts.items()))}")
    if any(runner.counts[state] for state in BAD):
        return 1
    return 0 if ran >= len(every) else 3


if __name__ == "__main__":
    sys.exit(main())
