from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.versions import Release, parse_wish
from buildtool.errors import InvalidInputError, UnknownNameError


@pytest.mark.parametrize(
    ("wish", "version", "meets"),
    [
        ("cuda==13.*", "13.0.88", True),
        ("cuda==13.0", "13.0.88", True),
        ("cuda==13", "13.5.37", True),
        ("cuda 13.0", "13.0.88", True),
        ("cuda<=12.9", "12.9.86", True),
        ("cuda<13", "12.9.86", True),
        ("cuda>13.0", "13.0.88", False),
        ("cuda!=13.0", "13.0.88", False),
        ("cuda~=13.1", "13.5.37", True),
        ("cuda~=13.1", "14.0", False),
        ("cuda==13.0.88", "13.0.88", True),
        ("cuda==13.0.88", "13.0.48", False),
        ("cuda>=12.4,<13", "12.4", True),
        ("cuda", "11.8", True),
        ("CUDA == 12.4.*", "12.4.131", True),
    ],
)
def test_a_wish_is_as_precise_as_it_is_written(wish: str, version: str, *, meets: bool) -> None:
    assert parse_wish(wish).admits(version) is meets


def test_a_misspelt_toolkit_says_what_was_meant() -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_wish("cudda==13.*")
    assert '"cuda"' in caught.value.hint


@pytest.mark.parametrize("text", ["cuda==", "cuda==x", "cuda=13", "rocm>=seven"])
def test_a_malformed_specifier_says_how_to_write_it(text: str) -> None:
    with pytest.raises((InvalidInputError, UnknownNameError)) as caught:
        parse_wish(text)
    assert "13.*" in caught.value.hint


def test_clauses_are_kept_in_one_order() -> None:
    assert parse_wish("cuda<13,>=12.4") == parse_wish("cuda>=12.4, <13")


def test_numbers_compare_as_numbers() -> None:
    assert Release.parse("12.10") > Release.parse("12.9") > Release.parse("12")
    assert Release.parse("13.0.88").minor == (13, 0)
    with pytest.raises(InvalidInputError):
        Release.parse("unknown")


@given(st.text(max_size=20))
def test_any_text_is_a_wish_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(UnknownNameError, InvalidInputError):
        assert parse_wish(text).kind in {"cuda", "rocm", "vulkan"}
