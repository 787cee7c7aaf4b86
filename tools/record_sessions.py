"""Record the wizard's sessions of ``docs/sessions``: ``python tools/record_sessions.py``.

Each session really runs on a terminal of 80 columns (Linux, macOS); a test compares what is kept with what runs.
The machines are those of ``tests/fixtures/sessions``.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "sessions"
FIXTURES = ROOT / "tests" / "fixtures" / "sessions"
COLUMNS = 80
LIMIT_S = 180.0
QUIET_S = 0.2


class Session(NamedTuple):
    """A session: its file name, the words after ``gpubuild``, and what is typed."""

    name: str
    words: tuple[str, ...]
    answers: tuple[str, ...]


SESSIONS = (
    Session(
        "rx6600-windows",
        ("wizard", "--host", "windows11.json", "--replay", "hipinfo=rx6600-hipinfo.txt"),
        ("5",),
    ),
    Session(
        "k80-linux",
        ("wizard", "--host", "debian12.json", "--replay", "nvidia-smi-table=k80-smi.txt"),
        ("",),
    ),
)


def gpubuild(*words: str) -> tuple[str, ...]:
    """Return the command that runs this tree's gpubuild."""
    return (sys.executable, "-c", "from buildtool.cli.main import main; main()", *words)


def converse(
    argv: Sequence[str], answers: Sequence[bytes], env: Mapping[str, str], folder: Path | None = None
) -> tuple[str, int]:
    """Run a program on a terminal; type the next answer whenever it waits behind ``": "``.

    Args:
        argv: the program, by its path, and its arguments.
        answers: what is typed, each with its end of line or its control character.
        env: the whole environment.
        folder: where it runs.

    Returns:
        What the terminal showed, without carriage returns, and the exit code.
    """
    child, handle = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would its children
        os.chdir(folder or Path.cwd())
        os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - a list, no shell
    ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    shown, left, end, typed = b"", list(answers), time.monotonic() + LIMIT_S, 0
    while time.monotonic() < end:
        if not select.select([handle], [], [], QUIET_S)[0]:
            if left and shown.endswith(b": ") and len(shown) > typed:
                os.write(handle, left.pop(0))
                typed = len(shown)  # the same prompt is not answered twice, however slow its echo
            continue
        try:
            piece = os.read(handle, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(handle)  # who still runs is hung up on
    _, status = os.waitpid(child, 0)
    return shown.decode("utf-8").replace("\r", ""), os.waitstatus_to_exitcode(status)


def record(session: Session) -> str:
    """Run a session; return what the person sees, the command included."""
    env = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    env.pop("GPUBUILD_DEVICES", None)
    answers = [f"{answer}\n".encode() for answer in session.answers]
    shown, code = converse(gpubuild(*session.words), answers, env, FIXTURES)
    if code:
        message = f"{session.name} ended with {code}:\n{shown}"
        raise RuntimeError(message)
    return f"$ gpubuild {' '.join(session.words)}\n{shown}"


def main() -> None:
    """Write every session."""
    KEPT.mkdir(exist_ok=True)
    for session in SESSIONS:
        path = KEPT / f"{session.name}.txt"
        path.write_text(record(session), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
