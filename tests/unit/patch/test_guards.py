"""Guards and macros of C headers: something is added in one place, and nothing else changes."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patch_samples import COMMON_TEXT, HEADER_TEXT

from buildtool.patch.guards import edit_guard, edit_macro
from buildtool.patch.model import EditConflictError, Guard, Macro

words = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
terms = st.lists(words.map(lambda word: f"__{word}__"), min_size=1, max_size=5, unique=True)
lines = st.lists(st.text(string.ascii_letters + "(){}; \t", max_size=20), max_size=5).map("\n".join)
joints = st.sampled_from([" || ", "||", " || \\\n    ", " || \\\r\n\t"])
comments = st.sampled_from(["", "  // defined(__no__)", " /* not || defined(__no__) */"])


def guard(**words: str | tuple[str, ...]) -> Guard:
    return Guard(files=("x",), **words)  # type: ignore[arg-type]


def macro(**words: str | tuple[str, ...]) -> Macro:
    return Macro(files=("x",), **words)  # type: ignore[arg-type]


@given(lines, terms, joints, comments, lines, st.sampled_from(["#if ", "  #  if "]), st.sampled_from(["\n", "\r\n"]))
def test_a_guard_gets_one_term_and_nothing_else_changes(
    before: str, listed: list[str], joint: str, comment: str, after: str, head: str, end: str
) -> None:
    condition = joint.join(f"defined({term})" for term in listed)
    start = f"{before}{end}{head}{condition}"
    text = f"{start}{comment}{end}#define FAMILY{end}{after}{end}#endif{end}"
    for choice in (guard(defines=("OTHER", "FAMILY"), term="__new__"), guard(beside=listed[0], term="__new__")):
        done = edit_guard(text, choice)
        assert done == start + " || defined(__new__)" + text[len(start) :]
        assert edit_guard(done, choice) == done
        assert edit_guard(text, guard(beside=listed[-1], term=listed[0])) == text


def test_a_continued_guard_and_its_comment_stay_as_they_are() -> None:
    done = edit_guard(HEADER_TEXT, guard(defines=("RDNA2",), term="__gfx10_3_generic__"))
    assert "    defined(__gfx1031__) || defined(__gfx10_3_generic__)  /* more to come */\n#define RDNA2" in done
    assert done.replace(" || defined(__gfx10_3_generic__)", "") == HEADER_TEXT


def test_what_is_covered_already_needs_no_edit() -> None:
    covered = guard(beside="__gfx900__", term="__gfx1013__", enough=("RDNA1",))
    assert edit_guard(COMMON_TEXT, covered) == COMMON_TEXT


def test_of_two_guards_with_a_name_the_plain_list_is_meant() -> None:
    text = "#if defined(X) && defined(A)\n#endif\n#if defined(A)\n#endif\n"
    done = edit_guard(text, guard(beside="A", term="B"))
    assert done == text.replace("#if defined(A)", "#if defined(A) || defined(B)")


@pytest.mark.parametrize(
    ("text", "edit", "reason"),
    [
        (HEADER_TEXT, guard(defines=("RDNA9",), term="x"), "no guard with #define RDNA9"),
        ("#if defined(A)\n#endif\n#if defined(A)\n#endif\n", guard(beside="A", term="x"), "2 guards"),
        ("#if defined(A) && !defined(B)\n#define F\n", guard(defines=("F",), term="x"), "not a plain list"),
        ("#if VERSION > 3\n#define F\n", guard(defines=("F",), term="x"), "not a plain list"),
        ("#ifdef A\n#define F\n", guard(defines=("F",), term="x"), "no guard"),
    ],
)
def test_a_guard_of_another_kind_is_a_conflict(text: str, edit: Guard, reason: str) -> None:
    with pytest.raises(EditConflictError, match=reason):
        edit_guard(text, edit)


def evaluate(text: str, cc: int) -> bool:
    """Evaluate the macro's body as C would."""
    body = text.partition("CC_IS_WIDE(cc)")[2].partition("//")[0]
    return bool(eval(body.replace("&&", " and ").replace("||", " or ").replace("!", " not "), {"cc": cc}))  # noqa: S307


@given(st.integers(0, 0x1300))
def test_a_macro_is_narrowed_and_widened_by_exactly_the_condition(cc: int) -> None:
    narrow = macro(name="CC_IS_WIDE", unless="{arg} == 0x909 || {arg} == 0x90c")
    wide = macro(name="CC_IS_WIDE", also="{arg} == 0x5")
    narrowed, widened = edit_macro(COMMON_TEXT, narrow), edit_macro(COMMON_TEXT, wide)
    assert evaluate(narrowed, cc) == (evaluate(COMMON_TEXT, cc) and cc not in {0x909, 0x90C})
    assert evaluate(widened, cc) == (evaluate(COMMON_TEXT, cc) or cc == 5)
    assert edit_macro(narrowed, narrow) == narrowed
    assert edit_macro(widened, wide) == widened
    both = edit_macro(narrowed, wide)
    assert edit_macro(both, narrow) == both
    assert both.splitlines()[1:] == COMMON_TEXT.splitlines()[1:]
    assert both.splitlines()[0].endswith("  // a comment")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("int x;", "nowhere"), ("#define M(a) a\n#define M(a) 1\n", "2 times"), ("#define M(a, b) a\n", "nowhere"),
     ("#define M(a)\n", "no body")],
)  # fmt: skip
def test_a_macro_of_another_kind_is_a_conflict(text: str, reason: str) -> None:
    with pytest.raises(EditConflictError, match=reason):
        edit_macro(text, macro(name="M", also="1"))
