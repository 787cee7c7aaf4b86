"""The one place that runs external programs."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.errors import MissingToolError, ProcessError
from buildtool.kept import Kept
from buildtool.process import KEPT_BESIDE, LONGEST_LINE, SHOWN_CHARACTERS, background, run, run_detached


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_and_errors_arrive_in_order_and_in_the_log() -> None:
    log = io.StringIO()
    seen: list[str] = []
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True)"
    done = run(python(code), log=log, on_line=seen.append)
    assert seen == ["out", "err"]
    assert done.output == "out\nerr\n"
    assert log.getvalue().startswith("$ ")
    assert log.getvalue().endswith("out\nerr\n")


def test_a_failure_carries_command_code_and_last_lines() -> None:
    with pytest.raises(ProcessError) as caught:
        run(python("print('last words'); raise SystemExit(7)"))
    assert "exit code 7" in caught.value.what
    assert caught.value.details == ("last words",)
    assert "SystemExit(7)" in caught.value.why


def test_a_failure_shows_the_beginning_of_a_very_long_line() -> None:
    with pytest.raises(ProcessError) as caught:
        run(python("print('a' * 20_000 + 'b'); raise SystemExit(7)"))
    (line,) = caught.value.details
    assert line == "a" * SHOWN_CHARACTERS + " ..."


def test_a_missing_program_says_so() -> None:
    with pytest.raises(MissingToolError, match="no-such-program"):
        run(["no-such-program-of-ours"])


def test_a_program_that_hangs_is_stopped_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(ProcessError, match="did not finish within"):
        run(python("import time; time.sleep(60)"), timeout_s=0.3)
    assert time.monotonic() - began < 10


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_grandchildren_die_with_the_group(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    grandchild = "import time; time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
        f"open({str(marker)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(ProcessError):
        run(python(code), timeout_s=1.5)
    pid = int(marker.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(pid):
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", maxsplit=1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupt_kills_the_program() -> None:
    class InterruptedRunError(Exception):
        """Stands in for KeyboardInterrupt, which would end the test run."""

    def stop(_line: str) -> None:
        raise InterruptedRunError

    began = time.monotonic()
    with pytest.raises(InterruptedRunError):
        run(python("import time; print('go', flush=True); time.sleep(60)"), on_line=stop)
    assert time.monotonic() - began < 10


def test_memory_stays_bounded_while_the_log_is_whole() -> None:
    log = io.StringIO()
    done = run(python("[print('x' * 96, f'{n:03}') for n in range(1000)]"), log=log, keep=1000)
    assert len(done.output) <= 1101
    assert len(log.getvalue()) > 100_000
    first, last = done.output.splitlines()[0], done.output.splitlines()[-1]
    assert (first[-3:], last[-3:]) == ("000", "999"), "the beginning and the end are kept"
    said = re.search(r"^\[(\d+) characters of output are left out here\]$", done.output, re.MULTILINE)
    assert said is not None
    assert int(said[1]) + len(done.output) - len(said[0]) - 1 == 101 * 1000
    assert not run(python("print('x')"), keep=0).output


def test_a_line_without_an_end_comes_in_pieces() -> None:
    seen: list[int] = []
    code = f"import sys; sys.stdout.write('x' * {3 * LONGEST_LINE + 5})"
    done = run(python(code), on_line=lambda line: seen.append(len(line)))
    assert seen == [LONGEST_LINE] * 3 + [5]
    assert len(done.output) == 3 * LONGEST_LINE + 5


def test_what_runs_beside_us_takes_no_memory_without_bound() -> None:
    code = "import sys\nfor n in range(300_000): print(n, 'x' * 40)\nprint('end', flush=True); sys.stdin.read()"
    with background(python(code + "; import time; time.sleep(60)")) as running:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and running.lines[-1:] != ("end",):
            time.sleep(0.1)
        lines = running.lines
    assert lines[0].startswith("0 x")
    assert lines[-1] == "end"
    assert sum(map(len, lines)) < KEPT_BESIDE
    assert any("characters of output are left out" in line for line in lines)


def test_a_folder_that_is_gone_is_no_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"could not be started in .*gone"):
        run(python("pass"), cwd=tmp_path / "gone")


@given(st.lists(st.text("ab\n", min_size=1, max_size=9), max_size=60), st.integers(0, 80))
def test_what_is_kept_is_the_beginning_and_the_end(pieces: list[str], room: int) -> None:
    kept, whole = Kept(room), "".join(pieces)
    for piece in pieces:
        kept.add(piece)
    text = kept.text()
    found = re.search(r"\n?\[(\d+) characters of output are left out here\]\n", text)
    if found is None:
        assert text == ("" if room < 2 else whole)
        return
    head, tail = text[: found.start()], text[found.end() :]
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(text) <= room + 100
    assert abs(len(head) + int(found[1]) + len(tail) - len(whole)) <= 1, "the head's last line end may be in the note"


def test_bytes_that_are_not_text_do_not_break_the_reader() -> None:
    done = run(python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe caf\\xc3\\xa9\\n')"))
    assert done.output.endswith("café\n")


def test_a_server_left_behind_does_not_hold_us() -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3)'])"
    began = time.monotonic()
    assert run_detached(python(code), env=dict(os.environ)) == 0
    assert time.monotonic() - began < 2.5


def test_many_runs_at_once_do_not_mix() -> None:
    results: dict[int, str] = {}

    def one(number: int) -> None:
        results[number] = run(python(f"print({number})")).output

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"{n}\n" for n in range(6)}
