"""Progress on a terminal as one live bar, in a log as a line now and then; both know when it will end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from buildtool.cli.console import stderr_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_INTERVAL_S = 30.0
PRIOR_S = 60.0  # how much work the estimate must see before the machine's own speed outweighs the cost book


def remaining_seconds(elapsed: float, cost_done: float, cost_total: float, jobs: int) -> float:
    """Estimate the seconds still to go.

    The cost book gives every step's cost on some machine; this machine's speed is learned from what has finished,
    starting from "as fast as the book's".

    Args:
        elapsed: seconds since the build began.
        cost_done: book cost of the finished steps, seconds.
        cost_total: book cost of all steps, seconds.
        jobs: parallel jobs.
    """
    speed = (cost_done + PRIOR_S) / (elapsed * jobs + PRIOR_S)
    return max(0.0, (cost_total - cost_done) / (speed * max(1, jobs)))


def clock(seconds: float) -> str:
    """Render seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Reporter:
    """Shows downloads, builds and single steps; satisfies the rooms' progress protocols.

    Use it as a context manager; nothing is shown when `quiet`.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Choose a live bar on a terminal, plain lines elsewhere."""
        self._live = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._began = 0.0
        self._said = 0.0
        self._totals = (0.0, 1)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live:
            from rich.progress import BarColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),  # file names may have brackets
                BarColumn(bar_width=24),
                TextColumn("{task.fields[note]}", markup=False),
                console=stderr_console(),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()

    def note(self, text: str) -> None:
        """Print one line that stays."""
        if not self._quiet:
            console = self._progress.console if self._progress is not None else stderr_console()
            console.print(text, markup=False, soft_wrap=True)  # names and commands stay whole, for copying

    def downloads(self) -> DownloadBar:
        """Return the view that the store's downloads report to."""
        return DownloadBar(self)

    def show(self, label: str, done: float, total: float, note: str) -> None:
        """Show how far one piece of work is."""
        if self._quiet:
            return
        if self._progress is not None:
            if self._task is None:
                self._task = self._progress.add_task(label, total=total or None, note=note)
            self._progress.update(self._task, description=label, completed=done, total=total or None, note=note)
        elif time.monotonic() - self._said >= LOG_INTERVAL_S:
            self._said = time.monotonic()
            stderr_console().print(f"{label}: {note}", markup=False)

    def clear(self) -> None:
        """Forget the current piece of work."""
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
        self._task = None

    def start(self, steps: int, cost: float, jobs: int) -> None:
        """Begin a build of `steps` steps worth `cost` seconds."""
        self._began = self._said = time.monotonic()
        self._totals = (cost, jobs)
        self.note(f"Building {steps} steps on {jobs} jobs, about {clock(cost / jobs)} if nothing is cached.")

    def step(self, done: int, steps: int, cost_done: float, description: str) -> None:
        """Show a finished build step and the time to go."""
        cost, jobs = self._totals
        left = remaining_seconds(time.monotonic() - self._began, cost_done, cost, jobs)
        name = description.rsplit("/", maxsplit=1)[-1]
        self.show("Building", cost_done, cost, f"{done}/{steps}  {clock(left)} left  {name[:32]}")

    def finish(self) -> None:
        """End a build."""
        self.clear()


class DownloadBar:
    """One download or unpacking after the other, counted in bytes."""

    def __init__(self, reporter: Reporter) -> None:
        """Report to `reporter`."""
        self._reporter = reporter
        self._label = ""
        self._total: int | None = None
        self._done = 0
        self._began = 0.0

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin one piece of work."""
        self._label, self._total, self._done, self._began = label, total_bytes, 0, time.monotonic()
        self.advance(0)

    def advance(self, count: int) -> None:
        """Count `count` more bytes."""
        self._done += count
        note = f"{self._done >> 20} MiB"
        if self._total:
            speed = self._done / max(0.1, time.monotonic() - self._began)
            left = clock((self._total - self._done) / speed) if speed else "?"
            note = f"{self._done >> 20}/{self._total >> 20} MiB  {left} left"
        self._reporter.show(self._label, self._done, self._total or 0, note)

    def done(self) -> None:
        """End this piece of work."""
        self._reporter.clear()

    def note(self, text: str) -> None:
        """Say something in passing."""
        self._reporter.note(text)
