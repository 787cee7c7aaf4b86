"""Which AMD processors run the same instructions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat import siblings, tables
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError


def test_the_table_agrees_with_the_targets() -> None:
    rows = tables.amd_targets()
    assert {row.name: row.generic for row in rows.values() if row.generic} == {
        chip: group.name for group in siblings.generics() for chip in group.targets
    }
    for row in rows.values():
        if row.retarget_from:
            assert row.retarget_from in siblings.identical(row.name)


def test_every_row_has_a_source_and_names_members_only() -> None:
    for group in siblings.generics():
        assert all(group.source)
        for row in group.restriction:
            assert set(row.targets) < set(group.targets)


@given(st.sampled_from(sorted(tables.amd_targets())), st.sampled_from(sorted(tables.amd_targets())))
def test_sameness_is_mutual_and_names_have_one_length(one: str, two: str) -> None:
    same = two in siblings.identical(one)
    assert same == (one in siblings.identical(two))
    if same:
        assert len(one) == len(two)  # the rewriting is done in place
        assert siblings.require_identical(one, two) == (one, two)
    elif one != two:
        with pytest.raises(IncompatibleError):
            siblings.require_identical(one, two)


def test_rdna2_is_one_family() -> None:
    names = [f"gfx103{digit}" for digit in range(7)]
    assert all(two in siblings.identical(one) for one, two in itertools.permutations(names, 2))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("gfx1100", "gfx1103", "vector registers"),
        ("gfx906", "gfx900", "v_mad_mix"),
        ("gfx900", "gfx906", "dot product"),
        ("gfx1010", "gfx1012", "dot product"),
        ("gfx942", "gfx950", "XF32"),
        ("gfx900", "gfx90c", "gfx9-generic"),
        ("gfx1100", "gfx1032", "no generic target"),
    ],
)
def test_a_refusal_names_the_restriction(old: str, new: str, word: str) -> None:
    with pytest.raises(IncompatibleError) as caught:
        siblings.require_identical(old, new)
    assert word in caught.value.why
    assert caught.value.hint


def test_a_refusal_names_what_would_do() -> None:
    with pytest.raises(IncompatibleError) as caught:
        siblings.require_identical("gfx1100", "gfx1032")
    assert "gfx1030" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("sm_90", "gfx1032", InvalidInputError),
        ("gfx1030", "gfx1030", InvalidInputError),
        ("gfx90a:xnack-", "gfx90a:xnack+", InvalidInputError),
        ("gfx10-3-generic", "gfx1032", InvalidInputError),
        ("gfx1030", "gfx1099", UnknownNameError),
    ],
)
def test_what_is_no_pair_of_processors(old: str, new: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        siblings.require_identical(old, new)
