"""Run several questions to the machine at once, and never wait for one that hangs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Answer = TypeVar("Answer")


def gather(questions: Mapping[str, Callable[[], Answer]], limit_s: float) -> tuple[dict[str, Answer], dict[str, str]]:
    """Ask all `questions` at the same time and wait at most `limit_s` seconds for all of them.

    The threads are daemons: a question stuck in a broken driver is left behind and cannot keep the process from
    ending (the threads of `concurrent.futures` are joined at exit).

    Returns:
        The answers in the order of `questions`, and for each question without one, why.
    """
    done: queue.SimpleQueue[tuple[str, list[Answer], str]] = queue.SimpleQueue()

    def ask(name: str, question: Callable[[], Answer]) -> None:
        try:
            done.put((name, [question()], ""))
        except Exception as error:  # noqa: BLE001 - a crashing probe costs its result, never the run
            done.put((name, [], f"failed: {type(error).__name__}: {error}"))

    for name, question in questions.items():
        threading.Thread(target=ask, args=(name, question), name=f"probe-{name}", daemon=True).start()
    answers: dict[str, Answer] = {}
    failures: dict[str, str] = {}
    end = time.monotonic() + limit_s
    while len(answers) + len(failures) < len(questions):
        try:
            name, answer, failure = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if failure:
            failures[name] = failure
        else:
            answers[name] = answer[0]
    for name in questions:
        if name not in answers and name not in failures:
            failures[name] = f"did not answer within {limit_s:g} s"
    return {name: answers[name] for name in questions if name in answers}, failures
