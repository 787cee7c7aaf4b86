"""Unified diffs without fuzz."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from buildtool.errors import DataError
from buildtool.patch.diffs import edit_diff
from buildtool.patch.model import Diff, EditConflictError

numbered = st.lists(st.integers(0, 99), min_size=4, max_size=25, unique=True)
changes = st.dictionaries(st.integers(0, 24), st.sampled_from(["change", "delete", "add"]), min_size=1, max_size=4)


def diff_of(before: list[str], after: list[str], context: int) -> Diff:
    text = "".join(line + "\n" for line in difflib.unified_diff(before, after, "a/x", "b/x", n=context, lineterm=""))
    return Diff(files=("x",), text=text)


def changed(before: list[str], edits: dict[int, str]) -> list[str]:
    after: list[str] = []
    for at, line in enumerate(before):
        kind = edits.get(at)
        after += {"change": [line + "!"], "delete": [], "add": [line, line + "+"]}.get(kind or "", [line])
    return after


@given(numbered, changes, st.integers(1, 3), st.sampled_from(["\n", "\r\n"]), st.integers(0, 3))
def test_a_diff_is_applied_wherever_its_lines_moved(
    numbers: list[int], edits: dict[int, str], context: int, end: str, moved: int
) -> None:
    before = [f"line {number}" for number in numbers]
    after = changed(before, edits)
    assume(before != after)
    edit = diff_of(before, after, context)
    head = [f"new {number}" for number in range(moved)]
    text, wanted = (end.join([*head, *lines, ""]) for lines in (before, after))
    assert edit_diff(text, edit) == wanted
    if not set(edits.values()) & {"delete"}:
        assert edit_diff(wanted, edit) == wanted


def test_a_hunk_whose_lines_changed_is_shown() -> None:
    edit = diff_of(["a", "b", "c"], ["a", "x", "c"], 1)
    with pytest.raises(EditConflictError, match="fits nowhere") as caught:
        edit_diff("a\nB\nc\n", edit)
    assert "-b" in caught.value.excerpt
    assert "+x" in caught.value.excerpt


def test_a_half_applied_diff_is_a_conflict() -> None:
    before = [str(number) for number in range(20)]
    after = ["zero", *before[1:19], "nineteen"]
    edit = diff_of(before, after, 1)
    with pytest.raises(EditConflictError, match="1 of 2 hunks"):
        edit_diff("\n".join(["zero", *before[1:]]) + "\n", edit)


def test_of_two_places_the_stated_one_is_taken_and_no_other() -> None:
    edit = Diff(files=("x",), text="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    assert edit_diff("a\na\n", edit) == "b\na\n"
    with pytest.raises(EditConflictError):
        edit_diff("x\na\na\n", edit)


@pytest.mark.parametrize(
    "text",
    ["", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
     "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n"],
)  # fmt: skip
def test_what_is_no_diff_of_the_file_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        edit_diff("a\n", Diff(files=("x",), text=text))
