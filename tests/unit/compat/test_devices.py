from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.devices import device_target, products_of
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
        ("MI210", "gfx90a"), ("Instinct MI300X", "gfx942"),
    ],
)  # fmt: skip
def test_a_card_is_found_however_people_write_it(name: str, target: str) -> None:
    assert str(device_target(name)) == target


@pytest.mark.parametrize("name", ["RX 99999", "Voodoo 2", "RX", "", "graphics card"])
def test_an_unknown_card_says_what_to_do(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        device_target(name)
    assert caught.value.hint


def test_targets_know_their_cards() -> None:
    assert "H100" in products_of(parse_target("sm_90a")[0])
    assert "RX 6600" in products_of(parse_target("gfx1032")[0])


@given(st.text(max_size=30))
def test_any_text_is_a_card_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(UnknownNameError):
        assert str(device_target(text))
