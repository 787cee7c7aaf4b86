"""The one place that runs external programs.

It logs the command, streams the output line by line, kills the whole process group on Ctrl-C, error or
time-out, and turns failure into `ProcessError` with the last lines. Commands are argument lists; no
shell is ever involved. However much a program prints, a bounded part of it stays in memory.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from buildtool.errors import MissingToolError, ProcessError
from buildtool.kept import Kept

TAIL_LINES = 30
KILL_GRACE_S = 5.0
LONGEST_LINE = 1 << 16  # characters; a longer line comes in pieces, so that one without an end takes no memory
SHOWN_CHARACTERS = 4000  # of one line in an error
KEPT_OUTPUT = 64 << 20  # characters of a program that runs to its end
KEPT_BESIDE = 4 << 20  # characters of one that runs beside us, for hours perhaps


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A finished program: its exit code and what it printed; of very much, the beginning and the end (`Kept`)."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    timed_out: bool = False


def command_line(argv: Sequence[str]) -> str:
    """Render `argv` so that it can be pasted into a POSIX shell."""
    return shlex.join(argv)


def _spawn(argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name == "posix",
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            what = f"The program {argv[0]!r} could not be started in {cwd}."
            raise ProcessError(what, why="There is no such directory.") from error
        what = f"The program {argv[0]!r} was not found."
        raise MissingToolError(what, hint=f"Install {Path(argv[0]).name}, or put it on PATH.") from error
    except OSError as error:
        what = f"The program {argv[0]!r} could not be started."
        raise ProcessError(what, why=str(error)) from error


def kill_group(process: subprocess.Popen[str]) -> None:
    """End `process` and everything it started: politely first, then with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL):
        try:
            if sys.platform == "win32":
                process.terminate()
            else:
                os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        try:
            process.wait(KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        # Children that ignored SIGTERM may outlive the leader: SIGKILL goes to the group regardless.


def run(  # noqa: PLR0913 - one door for every program, so the options meet here
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    keep: int = KEPT_OUTPUT,
) -> Completed:
    """Run a program to its end, streaming its merged output.

    Args:
        argv: program and arguments; never a shell string.
        cwd: working directory.
        env: the complete environment, or None to inherit.
        log: text file that receives the command and all output.
        on_line: called with every line, without its newline; with one that is very long, in pieces.
        timeout_s: seconds after which the process group is killed.
        check: raise on a non-zero exit code.
        keep: how many characters of output are returned; of more, the beginning and the end.

    Raises:
        MissingToolError: the program does not exist.
        ProcessError: it failed (with `check`) or ran past `timeout_s`.
    """
    if log is not None:
        log.write(f"$ {command_line(argv)}\n")
        log.flush()
    process = _spawn(argv, cwd, env)
    sink = _Sink(log, on_line, keep)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        kill_group(process)

    timer = threading.Timer(timeout_s or 0.0, expire)
    timer.daemon = True
    try:
        if timeout_s is not None:
            timer.start()
        sink.drain(process)
    except BaseException:
        kill_group(process)
        raise
    finally:
        timer.cancel()
    output, timed_out = sink.kept.text(), expired.is_set()
    done = Completed(argv=tuple(argv), returncode=process.returncode, output=output, timed_out=timed_out)
    if check and (done.returncode != 0 or done.timed_out):
        raise failure(done, tuple(sink.tail), timeout_s)
    return done


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield the lines of a stream with their ends, a very long one in pieces."""
    while raw := stream.readline(LONGEST_LINE):
        yield raw


class _Sink:
    """Where a program's lines go: the log, the caller, memory up to a bound, and the tail for an error."""

    def __init__(self, log: IO[str] | None, on_line: Callable[[str], None] | None, room: int) -> None:
        self.kept = Kept(room)
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._log = log
        self._on_line = on_line

    def drain(self, process: subprocess.Popen[str]) -> None:
        with process.stdout or open(os.devnull, encoding="utf-8") as stream:  # noqa: PTH123 - a pipe was asked for
            for raw in _lines(stream):
                self._take(raw)
        process.wait()

    def _take(self, raw: str) -> None:
        if self._log is not None:
            self._log.write(raw)
        line = raw.rstrip("\n")
        self.tail.append(line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ...")
        self.kept.add(raw)
        if self._on_line is not None:
            self._on_line(line)


def failure(done: Completed, tail: tuple[str, ...], timeout_s: float | None = None) -> ProcessError:
    """Describe a program that did not succeed."""
    name = Path(done.argv[0]).name
    if done.timed_out:
        what = f"{name} did not finish within {timeout_s:g} s and was stopped."
    elif done.returncode < 0:
        what = f"{name} was killed by signal {-done.returncode}."
    else:
        what = f"{name} failed with exit code {done.returncode}."
    return ProcessError(what, why=f"Command: {command_line(done.argv)}", details=tail)


def run_detached(argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float = 30.0) -> int:
    """Run a program that leaves a server behind, and return its exit code; its output is thrown away.

    The server outlives this call, so it must not hold a pipe of ours, nor die with our process group.

    Raises:
        MissingToolError: the program does not exist.
        ProcessError: it did not return within `timeout_s`.
    """
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(
            list(argv), env=dict(env), stdin=null, stdout=null, stderr=null, timeout=timeout_s, check=False,
            start_new_session=os.name == "posix",
        )  # fmt: skip
    except FileNotFoundError as error:
        what = f"The program {argv[0]!r} was not found."
        raise MissingToolError(what) from error
    except subprocess.TimeoutExpired as error:
        what = f"{Path(argv[0]).name} did not return within {timeout_s:g} s."
        raise ProcessError(what, why=f"Command: {command_line(argv)}") from error
    return done.returncode


class Background:
    """A program that runs beside us, with what it has printed; of very much, the beginning and the end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._kept = Kept(KEPT_BESIDE)
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return the process id, which is also that of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.poll()

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines printed so far."""
        text = self._kept.text()
        return tuple(text.removesuffix("\n").split("\n")) if text else ()

    def _drain(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        for raw in _lines(self._process.stdout):
            self._kept.add(raw)

    def stop(self) -> None:
        """End the whole process group and wait for the last of its output."""
        kill_group(self._process)
        self._reader.join(KILL_GRACE_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()


@contextmanager
def background(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Background]:
    """Run a program (a server) for the length of a ``with`` block; it never outlives the block.

    Raises:
        MissingToolError: the program does not exist.
        ProcessError: it could not be started.
    """
    running = Background(_spawn(argv, cwd, env))
    try:
        yield running
    finally:
        running.stop()
