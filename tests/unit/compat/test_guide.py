"""The wizard's rules: what there is to choose, and what a way comes to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from compat_machines import amd, debian, nvidia, rocm, ubuntu, windows
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat.guide import check, choices, named, needs_path, rungs_of, script, unclear
from buildtool.compat.ladder import Rung, Served
from buildtool.compat.model import Request
from buildtool.compat.targets import parse_target
from buildtool.errors import IncompatibleError
from buildtool.probe.model import Device, Host


def device(one: Device, **changes: Any) -> Device:
    return msgspec.structs.replace(one, **changes)


RAPHAEL = device(amd("gfx1036", "Raphael"), integrated=True, index=0, vram_mib=512)
NAVI = device(amd("gfx1100", "RX 7900 XTX"), integrated=False, index=1, vram_mib=24560)


def rung(step: str, host: Host, *names: str, served: Served | None = None) -> tuple[Rung, Any]:
    choice = named(tuple(parse_target(name)[0] for name in names))
    (found,) = (one for one in rungs_of(choice, host, Request(), served) if one.step == step)
    return found, choice


def test_cards_come_before_what_is_in_the_processor_and_all_of_a_maker_last() -> None:
    host = debian(devices=(RAPHAEL, nvidia("sm_86", "RTX 3060"), NAVI))
    assert [one.words for one in choices(host)] == [
        "RX 7900 XTX (gfx1100)", "RTX 3060 (sm_86)", "Raphael (gfx1036)", "one build for all (gfx1036, gfx1100)",
    ]  # fmt: skip


def test_equal_cards_features_and_unusable_ones_make_no_further_choice() -> None:
    mi = amd("gfx90a:sramecc+:xnack-", "MI210")
    host = debian(devices=(mi, mi, device(NAVI, usable=False), device(amd("gfx9999", "odd")), amd("", "nameless")))
    assert [one.words for one in choices(host)] == ["MI210 (gfx90a)"]
    assert unclear(host) == ("nameless", "odd")


@given(st.permutations([RAPHAEL, NAVI, nvidia("sm_86", "RTX 3060"), nvidia("sm_90", "H100")]))
def test_the_order_of_the_devices_never_changes_the_choices(devices: list[Device]) -> None:
    assert choices(debian(devices=tuple(devices))) == choices(debian(devices=tuple(devices[::-1])))


def test_no_card_means_the_cpu() -> None:
    assert choices(debian()) == ()
    found, choice = rung("cpu", debian())
    assert choice.words == "no GPU, the CPU only"
    assert script(found, choice, debian()).lines("linux") == ("gpubuild compile --backend cpu", "gpubuild verify dist")


def test_wheels_are_proved_where_the_card_is() -> None:
    found, choice = rung("recompile", ubuntu(), "sm_90")
    away = script(found, choice, ubuntu())
    assert away.lines("linux") == ("gpubuild compile --backend cuda --target sm_90",)
    assert any("verify dist" in note for note in away.notes)
    here = script(found, choice, ubuntu(devices=(nvidia("sm_90"),)))
    assert here.lines("windows")[-1] == "gpubuild verify dist"


@pytest.mark.parametrize(
    ("step", "host", "name", "words"),
    [
        ("retarget", debian(), "gfx1012", "does not work here"),
        ("override", windows(), "gfx1032", "does not work here"),
        ("recompile", debian(), "sm_30", "does not work here"),
    ],
)
def test_a_way_that_does_not_hold_is_refused_with_a_reason(step: str, host: Host, name: str, words: str) -> None:
    found, _ = rung(step, host, name)
    with pytest.raises(IncompatibleError, match=words) as caught:
        check(found)
    assert caught.value.hint


def test_what_holds_is_let_through() -> None:
    for step, host in (("override", debian()), ("recompile", debian(toolkits=(rocm("10.0.0"),))), ("cpu", debian())):
        check(rung(step, host, "gfx1032")[0])


def test_an_existing_binary_is_proved_by_reading_it() -> None:
    path = "/opt/my backend/libggml-hip.so"
    for answer, note in (("yes", "Nothing has to be built."), ("only-if", "Try it")):
        found, choice = rung(
            "served", debian(), "gfx1032", served=Served(path=path, answer=answer, reason="it holds it")  # type: ignore[arg-type]
        )  # fmt: skip
        steps = script(found, choice, debian())
        assert steps.lines("linux") == (f'gpubuild inspect "{path}" --for gfx1032',)
        assert steps.notes[0].startswith(note)
        assert not needs_path(found)
    assert needs_path(rung("served", debian(), "gfx1032")[0])
    assert needs_path(rung("retarget", debian(), "gfx1032")[0])
    sibling = Served(path=path, answer="no", reason="it holds gfx1030", stand_in="yes")
    found, choice = rung("retarget", debian(), "gfx1032", served=sibling)
    (line,) = script(found, choice, debian()).lines("linux")
    assert line.startswith(f'gpubuild retarget "{path}" --from gfx1030 --to gfx1032')
    wrong = Served(path=path, answer="no", reason="it holds no device code")
    assert needs_path(rung("served", debian(), "gfx1032", served=wrong)[0])


def test_what_nobody_can_do_for_the_user_is_apart() -> None:
    found, choice = rung("override", debian(), "gfx1032")
    assert script(found, choice, debian()).by_hand == ("export HSA_OVERRIDE_GFX_VERSION=10.3.0",)
    first, choice = rung("recompile", debian(), "sm_37")
    steps = script(first, choice, debian())
    assert [one.command for one in steps.first] == ["apt-get install nvidia-cuda-toolkit", "apt-get install g++-11"]
    assert steps.commands == (("gpubuild", "compile", "--backend", "cuda", "--target", "sm_37"),)
