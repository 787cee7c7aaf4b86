from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.targets import (
    Target,
    cmake_cuda,
    known_amd,
    known_cuda,
    label,
    parse_target,
    parse_targets,
    split_list,
)
from buildtool.errors import GpubuildError, InvalidInputError, UnknownNameError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sm_90", "sm_90"),
        ("SM90", "sm_90"),
        ("90", "sm_90"),
        ("9.0", "sm_90"),
        ("cc8.6", "sm_86"),
        ("12.0", "sm_120"),
        ("90a", "sm_90a"),
        ("90a-real", "sm_90a"),
        ("sm_120f", "sm_120f"),
        ("GFX1032", "gfx1032"),
        ("gfx90a:xnack-", "gfx90a:xnack-"),
        ("gfx90a:xnack+:sramecc-", "gfx90a:sramecc-:xnack+"),
        ("gfx10-3-generic", "gfx10-3-generic"),
        ("gfx9-generic", "gfx9-generic"),
    ],
)
def test_one_target_is_read_however_people_write_it(written: str, meant: str) -> None:
    assert [str(target) for target in parse_target(written)] == [meant]


def test_a_family_shorthand_gives_its_members() -> None:
    members = [str(target) for target in parse_target("gfx103X")]
    assert members == ["gfx1030", "gfx1031", "gfx1032", "gfx1033", "gfx1034", "gfx1035", "gfx1036"]
    assert [str(target) for target in parse_target("gfx103X-dgpu")] == ["gfx1030", "gfx1031", "gfx1032", "gfx1034"]
    assert "gfx1103" in {str(target) for target in parse_target("gfx110x-igpu")}


@pytest.mark.parametrize(
    ("written", "hint"),
    [("sm_91", "sm_90"), ("gfx1039", "gfx103"), ("gfx10333", "gfx1033"), ("gxf1032", ""), ("", ""), ("native", "")],
)
def test_an_unknown_target_says_what_was_probably_meant(written: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_target(written)
    assert hint in caught.value.hint
    assert caught.value.hint


@pytest.mark.parametrize("written", ["90-virtual", "compute_90", "sm_80-virtual"])
def test_ptx_is_refused_with_the_target_to_name_instead(written: str) -> None:
    with pytest.raises(InvalidInputError, match="PTX") as caught:
        parse_target(written)
    assert "sm_" in caught.value.hint


@pytest.mark.parametrize("written", ["gfx90a:xnack", "gfx90a:xnack-:xnack+", "gfx90a:tgsplit+"])
def test_features_that_do_not_exist_are_refused(written: str) -> None:
    with pytest.raises(GpubuildError):
        parse_target(written)


def test_lists_are_split_sorted_and_free_of_doubles() -> None:
    assert split_list(["sm_90;86", "89, 90"]) == ("sm_90", "86", "89", "90")
    assert [str(one) for one in parse_targets(["90;86", "9.0,gfx1032"])] == ["sm_86", "sm_90", "gfx1032"]


def test_cmake_gets_device_code_and_no_ptx() -> None:
    assert cmake_cuda(Target("cuda", "sm_90", "a")) == "90a-real"
    assert cmake_cuda(Target("cuda", "sm_120")) == "120-real"


@given(st.sampled_from(sorted(known_cuda() | known_amd())))
def test_every_known_target_survives_a_round_trip(name: str) -> None:
    assert [str(target) for target in parse_target(name)] == [name]
    assert label(parse_target(name)).isalnum()


@given(st.text(max_size=24))
def test_any_text_gives_targets_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(UnknownNameError, InvalidInputError):
        found = parse_target(text)
        assert found
        assert all(str(target) in known_cuda() or target.chip in known_amd() for target in found)


@given(
    st.lists(st.sampled_from(["sm_90", "86", "12.0", "gfx1032", "gfx90a:xnack-", "sm_90"]), max_size=6), st.randoms()
)
def test_the_order_of_a_list_never_matters(words: list[str], random: object) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert parse_targets(words) == parse_targets(shuffled)


def test_labels_tell_features_apart() -> None:
    labels = {label(parse_target(name)) for name in ("gfx90a", "gfx90a:xnack+", "gfx90a:xnack-", "gfx9-generic")}
    assert len(labels) == 4
