from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.devices import card_targets, device_target, products_of
from buildtool.compat.targets import parse_target
from buildtool.errors import UnknownNameError


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("GTX 680", "sm_30"), ("Tesla K80", "sm_37"), ("k80", "sm_37"), ("GTX 970", "sm_52"), ("P40", "sm_61"),
        ("V100", "sm_70"), ("RTX 3060", "sm_86"), ("NVIDIA GeForce RTX 4090", "sm_89"), ("rtx5090", "sm_120"),
        ("H100", "sm_90"), ("B200", "sm_100"), ("Jetson Orin", "sm_87"), ("DGX Spark", "sm_121"),
        ("RX 580", "gfx803"), ("Vega 56", "gfx900"), ("Radeon VII", "gfx906"), ("RX 5700", "gfx1010"),
        ("BC-250", "gfx1013"), ("AMD Radeon RX 6600 XT", "gfx1032"), ("rx6600", "gfx1032"), ("680M", "gfx1035"),
        ("780m", "gfx1103"), ("RX 7900 XTX", "gfx1100"), ("Strix Halo", "gfx1151"), ("RX 9070", "gfx1201"),
        ("MI210", "gfx90a"), ("Instinct MI300X", "gfx942"), ("rx6600xt", "gfx1032"), ("Radeon 7900 XTX", "gfx1100"),
        ("7900xtx", "gfx1100"), ("GeForce GTX 1660 Super", "sm_75"), ("gtx1660s", "sm_75"), ("M60", "sm_52"),
        ("rtx3060ti", "sm_86"), ("GTX 1080Ti", "sm_61"), ("NVIDIA A100-SXM4-80GB", "sm_80"), ("6750xt", "gfx1031"),
        ("RX 6800S", "gfx1032"), ("RX 6800", "gfx1030"), ("AMD Radeon(TM) 780M", "gfx1103"), ("Navi 23", "gfx1032"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", "sm_86"), ("Jetson Nano", "sm_53"), ("Jetson Orin Nano", "sm_87"),
    ],
)  # fmt: skip
def test_a_card_is_found_however_people_write_it(name: str, target: str) -> None:
    assert str(device_target(name)) == target


@pytest.mark.parametrize(
    "name", ["RX 99999", "Voodoo 2", "RX", "", "graphics card", "GTX 1666", "RTX 5999", "RX 499", "HD 7970", "Jetson"]
)
def test_an_unknown_card_says_what_to_do(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        device_target(name)
    assert caught.value.hint


@pytest.mark.parametrize(("name", "near"), [("RX 6601", "RX 6600"), ("gtx 1666", "GTX 1660"), ("Tesla K81", "K80")])
def test_a_misspelt_card_names_its_neighbours(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        device_target(name)
    assert near in caught.value.hint


def test_a_name_of_several_chips_is_never_guessed() -> None:
    with pytest.raises(UnknownNameError, match="several cards") as caught:
        device_target("GT 1030")
    assert [line.partition(":")[0] for line in caught.value.details] == ["sm_30", "sm_61"]


def test_a_target_is_taken_where_a_card_is_asked_for() -> None:
    assert [str(one) for one in card_targets("sm_86;gfx1032")] == ["sm_86", "gfx1032"]
    assert [str(one) for one in card_targets("RX 6600")] == ["gfx1032"]
    with pytest.raises(UnknownNameError, match="gfx1039"):
        card_targets("gfx1039")


def test_targets_know_their_cards() -> None:
    assert "H100" in products_of(parse_target("sm_90a")[0])
    assert "RX 6600" in products_of(parse_target("gfx1032")[0])


@given(st.text(max_size=30))
def test_any_text_is_a_card_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(UnknownNameError):
        assert str(device_target(text))
