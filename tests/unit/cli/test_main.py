"""The one door through which every failure leaves."""

from __future__ import annotations

import errno
import io
import json
import sys

import pytest
from rich.console import Console

from buildtool import errors
from buildtool.cli import main as door
from buildtool.cli import progress
from buildtool.cli.progress import clock, remaining_seconds


def outcome(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, *arguments: str) -> int:
    def app(*, standalone_mode: bool) -> None:
        assert standalone_mode is False
        if error is not None:
            raise error

    monkeypatch.setattr(door, "app", app)
    monkeypatch.setattr(sys, "argv", ["gpubuild", *arguments])
    with pytest.raises(SystemExit) as left:
        door.main()
    return int(left.value.code or 0)


def kinds() -> list[type[errors.GpubuildError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in found if issubclass(kind, errors.GpubuildError)]


def test_every_kind_of_error_has_its_own_name_and_says_what_it_is() -> None:
    assert len({kind.kind for kind in kinds()}) == len(kinds())
    assert all(kind.__doc__ for kind in kinds())
    distinct = {kind.exit_code for kind in kinds()}
    assert not distinct & {0, 2, 130}, "0 is success, 2 is usage, 130 is Ctrl-C"


@pytest.mark.parametrize("kind", kinds())
def test_an_error_prints_what_why_and_what_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[errors.GpubuildError]
) -> None:
    error = kind("It broke.", why="Because.", hint="Do this.", details=("line",))
    assert outcome(monkeypatch, error) == kind.exit_code
    text = capsys.readouterr().err
    assert [part in text for part in ("It broke.", "why: Because.", "try: Do this.", "| line")] == [True] * 4
    assert outcome(monkeypatch, error, "--json") == kind.exit_code
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == kind.kind


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (RuntimeError("odd"), 1), (OSError(errno.ENOSPC, "No space", "/x"), 10),
     (OSError(errno.ENOSPC, "No space"), 10), (PermissionError(errno.EACCES, "No", b"/x"), 10),
     (FileNotFoundError(errno.ENOENT, "None", "/x"), 1), (OSError(errno.ENAMETOOLONG, "Too long", "/x"), 12),
     (OSError(errno.ELOOP, "Loop", "/x"), 12)],
)  # fmt: skip
def test_no_traceback_reaches_a_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    assert outcome(monkeypatch, error) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert isinstance(error, RuntimeError) == ("does not handle" in said)


def test_a_name_with_brackets_is_shown_on_a_terminal_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes such words for its own markup, and ended with a traceback at one that closes nothing."""
    shown = io.StringIO()
    monkeypatch.setattr(progress, "stderr_console", lambda: Console(file=shown, force_terminal=True, width=200))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.Reporter() as reporter:
        reporter.show("unpack lib[red].tar", 1, 2, "[/usr/bin/cc] x[1].o")
    assert "unpack lib[red].tar" in shown.getvalue()
    assert "[/usr/bin/cc] x[1].o" in shown.getvalue()


def test_the_estimate_starts_from_the_book_and_learns_the_machine() -> None:
    assert remaining_seconds(0.0, 0.0, 1000.0, 2) == pytest.approx(500.0)
    slow = remaining_seconds(1000.0, 500.0, 1000.0, 2)
    assert slow > 800, "this machine took four times the book's time so far"
    assert remaining_seconds(10.0, 1000.0, 1000.0, 2) == 0.0
    assert clock(3723) == "1:02:03"
    assert clock(59.6) == "1:00"
