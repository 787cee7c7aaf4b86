"""The sessions in ``docs/sessions`` are what the wizard really shows on a terminal of 80 columns."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no such terminals", allow_module_level=True)

from record_sessions import KEPT, SESSIONS, Session, converse, gpubuild, record

ENVIRONMENT = {**os.environ, "GPUBUILD_DEVICES": "sm_90", "TERM": "xterm"}


@pytest.mark.parametrize("session", SESSIONS, ids=lambda one: one.name)
def test_a_kept_session_is_what_runs(session: Session) -> None:
    kept = (KEPT / f"{session.name}.txt").read_text(encoding="utf-8")
    assert record(session) == kept, "run: python tools/record_sessions.py"
    assert all(len(line) <= 80 for line in kept.splitlines())
    assert "\x1b" not in kept


def test_every_kept_session_is_recorded_and_shown_in_the_documents() -> None:
    names = {f"{session.name}.txt" for session in SESSIONS}
    assert {path.name for path in KEPT.glob("*.txt")} == names
    page = (Path(KEPT).parent / "wizard.md").read_text(encoding="utf-8")
    assert all(f"sessions/{name}" in page for name in names)


@pytest.mark.parametrize(
    ("key", "code", "words"), [(b"\x03", 130, "Stopped; nothing was run."), (b"\x04", 17, "The input ended before")]
)
def test_ctrl_c_and_ctrl_d_leave_cleanly(key: bytes, code: int, words: str) -> None:
    shown, left = converse(gpubuild("wizard"), [key], ENVIRONMENT)
    assert left == code
    assert words in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("change", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_colour_is_left_out_where_it_is_not_wanted(change: dict[str, str], *, coloured: bool) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "NO_COLOR"} | change
    shown, _ = converse(gpubuild("wizard"), [b"\x04"], environment)
    assert ("\x1b[" in shown) is coloured
