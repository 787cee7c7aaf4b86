"""Driving Ninja: steps counted and weighed, output parsed, failures reduced to the lines that matter."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections import deque
from pathlib import Path
from typing import IO, Protocol

import msgspec

from buildtool.build.costs import CostBook, parse_ninja_log
from buildtool.build.door import Door
from buildtool.errors import BuildError, ProcessError, StorageError
from buildtool.process import run

STATUS = "[%f/%t] "
_STEP = re.compile(r"^\[(\d+)/(\d+)\] (.*)$")
_FAILED = re.compile(r"^FAILED: (?:\[code=\d+\] )?(.*)$")
# A linker says what it misses before the compiler driver says that it failed.
_ERROR = re.compile(r"\berror\b|undefined (reference|symbol)|multiple definition|cannot find -l", re.IGNORECASE)
ERROR_LINES = 25
COMMAND_LENGTH = 2000  # characters of a failed command that are quoted
FAILURE_LINES = 2000  # of the first failed step; what a compiler says after so many helps nobody
BEFORE_LINES = 400  # of steps that succeeded, or of a Ninja that runs none
REGENERATION = ("Re-checking globbed directories", "Re-running CMake")


class BuildProgress(Protocol):
    """Who is told how a build goes; costs are seconds of compiling."""

    def start(self, steps: int, cost: float, jobs: int) -> None:
        """The build begins: `steps` steps worth `cost` seconds of work on `jobs` jobs."""

    def step(self, done: int, steps: int, cost_done: float, description: str) -> None:
        """A step has finished."""

    def finish(self) -> None:
        """Nothing more will come."""

    def note(self, text: str) -> None:
        """Say something in passing, such as what is being waited for."""


class NinjaFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The first failed step of a Ninja run."""

    output: str
    command: str
    lines: tuple[str, ...]


def parse_step(line: str) -> tuple[int, int, str] | None:
    """Parse ``[3/615] Building CUDA object x.o`` into finished, total, description."""
    match = _STEP.match(line)
    return (int(match[1]), int(match[2]), match[3]) if match else None


def parse_failure(lines: list[str]) -> NinjaFailure | None:
    """Find the first failed step in Ninja's output: its target, its command, and what the compiler said."""
    for index, line in enumerate(lines):
        match = _FAILED.match(line)
        if match is None:
            continue
        rest = lines[index + 1 :]
        end = next(
            (n for n, text in enumerate(rest) if parse_step(text) or text.startswith(("FAILED:", "ninja:"))),
            len(rest),
        )
        command = rest[0] if rest else ""
        return NinjaFailure(output=match[1].strip(), command=command, lines=tuple(rest[1:end]))
    return None


def pending(ninja: str, build_dir: Path, targets: tuple[str, ...], door: Door) -> list[str]:
    """Return the descriptions of the steps that Ninja would run (a dry run).

    A project that looks for new files at every build (as ggml's Vulkan does) has its own build file for a step, and
    Ninja's dry run ends with it. It is asked again through a file of its own, which nothing makes.
    """
    steps = _dry_run(ninja, build_dir, (), targets, door)
    if steps and all(step.startswith(REGENERATION) for step in steps):
        around = build_dir / "gpubuild-pending.ninja"
        around.write_text("include build.ninja\n", encoding="utf-8")
        steps += _dry_run(ninja, build_dir, ("-f", around.name), targets, door)
    return steps


def _dry_run(ninja: str, build_dir: Path, options: tuple[str, ...], targets: tuple[str, ...], door: Door) -> list[str]:
    argv = door.argv([ninja, "-C", str(build_dir), *options, "-n", *targets])
    done = run(argv, env=door.env, timeout_s=120)
    steps = (parse_step(line) for line in done.output.splitlines())
    return [step[2] for step in steps if step is not None]


def build(  # noqa: PLR0913 - one call starts a build; everything it needs meets here
    ninja: str,
    build_dir: Path,
    targets: tuple[str, ...],
    *,
    steps: list[str],
    jobs: int,
    door: Door,
    log: IO[str],
    book: CostBook,
    progress: BuildProgress | None,
) -> int:
    """Run Ninja to the end and return how many steps ran; `steps` is what `pending` foresaw.

    Raises:
        BuildError: a step failed; carries its command and its last lines.
        StorageError: the disk filled up.
    """
    env = {**door.env, "NINJA_STATUS": STATUS}
    if progress is not None:
        progress.start(len(steps), sum(book.cost(step) for step in steps), jobs)
    counter = _Counter(book, progress)
    try:
        argv = door.argv([ninja, "-C", str(build_dir), "-j", str(jobs), *targets])
        run(argv, env=env, log=log, on_line=counter.line)
    except ProcessError as error:
        raise _explain(error, counter.lines, Path(log.name)) from error
    finally:
        if progress is not None:
            progress.finish()
        _learn(build_dir, book)
    return counter.done


class _Counter:
    """Follows Ninja's lines: how far it is, and the text around the first failure, a bounded part of each."""

    def __init__(self, book: CostBook, progress: BuildProgress | None) -> None:
        self.done = 0
        self._before: deque[str] = deque(maxlen=BEFORE_LINES)
        self._failure: list[str] = []
        self._cost = 0.0
        self._book = book
        self._progress = progress

    @property
    def lines(self) -> list[str]:
        """The failed step, else what was said last."""
        return self._failure or list(self._before)

    def line(self, text: str) -> None:
        step = parse_step(text)
        if step is not None:
            self.done = step[0]
            self._cost += self._book.cost(step[2])
            if self._progress is not None:
                self._progress.step(step[0], step[1], self._cost, step[2])
            self._before.clear()  # warnings of steps that succeeded
        if self._failure or _FAILED.match(text):
            if len(self._failure) < FAILURE_LINES:
                self._failure.append(text)
        else:
            self._before.append(text)


def _learn(build_dir: Path, book: CostBook) -> None:
    try:
        text = (build_dir / ".ninja_log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    with contextlib.suppress(OSError):  # costs are only for telling how long it takes: no reason to fail
        book.learn(parse_ninja_log(text))


def _explain(error: ProcessError, lines: list[str], log: Path) -> BuildError | StorageError:
    failed = parse_failure(lines)
    said = failed.lines if failed is not None else tuple(lines)
    if any(os.strerror(errno.ENOSPC) in line for line in said):
        what = "The disk filled up during the build."
        hint = "Free some space (see gpubuild toolchain list) and run the same command again: it resumes."
        return StorageError(what, why=f"Full log: {log}", hint=hint, details=said[-ERROR_LINES:])
    if failed is None:
        return BuildError(error.what, why=f"Full log: {log}", details=error.details)
    what = f"Compiling {failed.output} failed."
    command = failed.command
    if len(command) > COMMAND_LENGTH:  # a link names every object
        command = f"{command[:COMMAND_LENGTH]} ... ({len(command)} characters, whole in the log)"
    why = f"Command: {command}"
    return BuildError(what, why=why, hint=f"The full log is {log}", details=_telling(said))


def _telling(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Keep the lines from the first error on; a compiler's notes after it rarely help more."""
    first = next((n for n, line in enumerate(lines) if _ERROR.search(line)), None)
    return lines[-ERROR_LINES:] if first is None else lines[first : first + ERROR_LINES]
