"""Which rung of the ladder serves a target, and what a refusal says."""

from __future__ import annotations

import pytest

from buildtool.errors import IncompatibleError
from buildtool.runtime.ladder import choose

DEBIAN = frozenset({"gfx900", "gfx90a", "gfx1010", "gfx1030", "gfx1100"})


def rungs(
    *targets: str, held: frozenset[str] = DEBIAN, by_name: frozenset[str] | None = DEBIAN
) -> list[tuple[str, str]]:
    return [(one.name, one.donor) for one in choose(targets, held, by_name, "librocblas.so.4")]


def test_the_first_rung_that_holds() -> None:
    assert rungs("gfx1030") == [("vendor", "gfx1030")]
    assert rungs("gfx90a:xnack-") == [("vendor", "gfx90a")]
    assert rungs("gfx1032") == [("sibling", "gfx1030")]
    assert rungs("gfx1032", "gfx1100") == [("sibling", "gfx1030"), ("vendor", "gfx1100")]


def test_generic_code_serves_where_nothing_is_chosen_by_name() -> None:
    held = frozenset({"gfx10-3-generic"})
    assert rungs("gfx1032", held=held, by_name=None) == [("generic", "gfx10-3-generic")]
    with pytest.raises(IncompatibleError):
        rungs("gfx1032", held=held, by_name=frozenset({"gfx10-3-generic"}))


def test_code_without_its_tables_does_not_count() -> None:
    assert rungs("gfx1032", by_name=frozenset({"gfx1030"})) == [("sibling", "gfx1030")]
    with pytest.raises(IncompatibleError):
        rungs("gfx1032", by_name=frozenset({"gfx900"}))


@pytest.mark.parametrize(
    ("target", "words"), [("gfx1103", "no sibling"), ("gfx1012", "no sibling"), ("gfx1200", "gfx1201")]
)
def test_a_refusal_says_what_is_there_and_what_to_do(target: str, words: str) -> None:
    with pytest.raises(IncompatibleError) as caught:
        rungs(target)
    assert "gfx1010 gfx1030" in caught.value.why
    assert words in caught.value.why
    assert f"-DGPU_TARGETS={target}" in caught.value.hint


@pytest.mark.parametrize("targets", [("gfx1031", "gfx1032"), ("gfx1030", "gfx1032")])
def test_one_bundle_does_not_hold_one_code_under_two_names(targets: tuple[str, ...]) -> None:
    with pytest.raises(IncompatibleError, match="cannot serve") as caught:
        rungs(*targets)
    assert "--target gfx103" in caught.value.hint
    assert rungs("gfx90a:xnack+", "gfx90a:xnack-") == [("vendor", "gfx90a")] * 2
