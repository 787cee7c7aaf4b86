"""The beginning and the end of what a program prints, so that endless output takes bounded memory."""

from __future__ import annotations

import io
import threading


class Kept:
    """Takes text piece by piece and keeps as much as it has room for; says how much is missing between.

    May be written by one thread and read by another.
    """

    def __init__(self, room: int) -> None:
        """Keep about `room` characters, half of them from the beginning; none at all for 0."""
        self._half = room // 2
        self._head = io.StringIO()
        self._tail, self._before = io.StringIO(), ""  # the end is the last full buffer, and the one being filled
        self._cut = 0
        self._lock = threading.Lock()

    def add(self, raw: str) -> None:
        """Take the next line, or a piece of one."""
        with self._lock:
            if self._tail.tell() == 0 and not self._before and self._head.tell() + len(raw) <= self._half:
                self._head.write(raw)
                return
            if self._tail.tell() + len(raw) > self._half // 2:
                self._cut += len(self._before)
                self._before, self._tail = self._tail.getvalue(), io.StringIO()
            self._tail.write(raw)

    def text(self) -> str:
        """Return what was kept so far."""
        with self._lock:
            head, tail = self._head.getvalue(), self._before + self._tail.getvalue()
            if not self._half:
                return ""
            if not self._cut:
                return head + tail
            end = "" if head.endswith("\n") or not head else "\n"
            return f"{head}{end}[{self._cut} characters of output are left out here]\n{tail}"
