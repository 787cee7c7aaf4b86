"""Keeps a dead or slow depot from costing time: every call is bounded, and after a few bad ones no more are made."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CALL_S = 2.0  # a call that takes longer is given up
SLOW_S = 1.0  # a call that takes longer counts as bad, though its answer is used
BAD_IN_A_ROW = 3
PAUSE_S = 60.0


class GivenUpError(Exception):
    """The call was not made, failed, or took too long."""


class Guard:
    """Runs calls in threads that do not hold up the program's end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start closed: calls are made."""
        self._clock = clock
        self._lock = threading.Lock()
        self._bad = 0
        self._until = 0.0
        self.failures = 0
        self.reason = ""

    @property
    def resting(self) -> bool:
        """Whether no calls are made at the moment."""
        return self._clock() < self._until

    def call(self, work: Callable[[], T], most_s: float = CALL_S) -> T:
        """Run `work`, for at most `most_s` seconds.

        Raises:
            GivenUpError: there is no answer.
        """
        if self.resting:
            raise GivenUpError(self.reason)
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                answers.put((work(), None))
            except Exception as error:  # noqa: BLE001 - whatever a service's client raises is a bad call
                answers.put((None, error))

        began = self._clock()
        threading.Thread(target=attempt, daemon=True).start()
        try:
            answer, error = answers.get(timeout=most_s)
        except queue.Empty:
            self._note(f"no answer within {most_s:g} s")
            raise GivenUpError(self.reason) from None
        if error is not None:
            self._note(f"{type(error).__name__}: {error}".splitlines()[0][:200])
            raise GivenUpError(self.reason) from error
        slow = self._clock() - began > SLOW_S
        self._note(f"answers take more than {SLOW_S:g} s" if slow else "")
        return answer  # type: ignore[return-value]  # None is an answer where T allows it

    def _note(self, reason: str) -> None:
        with self._lock:
            if not reason:
                self._bad = 0
                return
            self._bad += 1
            self.failures += 1
            self.reason = reason
            if self._bad >= BAD_IN_A_ROW:
                self._until = self._clock() + PAUSE_S
