"""Target lists of CMake files: presets and filters."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.patch.lists import edit_filter, edit_preset
from buildtool.patch.model import EditConflictError, Filter, Preset

chips = st.sampled_from(["gfx900", "gfx90a", "gfx942", "gfx1010", "gfx1030", "gfx1100", "gfx1201"])
lists = st.lists(chips, max_size=5).map(";".join)
presets = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["ROCm 6", "ROCm 7", "CUDA", "Default"])},
        optional={"cacheVariables": st.fixed_dictionaries({}, optional={"T": lists, "OTHER": lists}),
                  "inherits": st.lists(st.text(max_size=4), max_size=2)},
    ),
    max_size=6,
)  # fmt: skip


def preset(item: str = "gfx1032") -> Preset:
    return Preset(files=("x",), preset="ROCm *", variable="T", item=item)


def rocm_lists(text: str) -> list[str]:
    found: list[dict[str, Any]] = json.loads(text)["configurePresets"]
    return [one["cacheVariables"]["T"] for one in found if one["name"].startswith("ROCm") and _has(one)]


def _has(one: dict[str, Any]) -> bool:
    return "T" in one.get("cacheVariables", {})


@given(presets, st.sampled_from([None, 2, "\t"]))
def test_every_fitting_preset_gets_the_item_and_nothing_else_changes(
    before: list[dict[str, Any]], indent: int | str | None
) -> None:
    text = json.dumps({"version": 3, "configurePresets": before}, indent=indent)
    if not any(one["name"].startswith("ROCm") and _has(one) for one in before):
        with pytest.raises(EditConflictError, match="no preset"):
            edit_preset(text, preset())
        return
    done = edit_preset(text, preset())
    assert all(listed.split(";")[-1] == "gfx1032" for listed in rocm_lists(done))
    assert edit_preset(done, preset()) == done
    assert edit_preset(text, preset("gfx900")) == text or any("gfx900" not in one for one in rocm_lists(text))
    for one in before:
        if one["name"].startswith("ROCm") and _has(one):
            one["cacheVariables"]["T"] = ";".join(filter(None, [one["cacheVariables"]["T"], "gfx1032"]))
    assert json.loads(done) == {"version": 3, "configurePresets": before}


@pytest.mark.parametrize(
    ("listed", "item", "added"),
    [("50-virtual;52", "50", False), ("gfx90a:xnack-", "gfx90a", False), ("gfx90a", "gfx90a:xnack-", True),
     ("", "37", True), ("137", "37", True)],
)  # fmt: skip
def test_an_item_in_another_form_is_the_same_item(listed: str, item: str, added: bool) -> None:  # noqa: FBT001
    text = json.dumps({"configurePresets": [{"name": "ROCm 6", "cacheVariables": {"T": listed}}]})
    assert (edit_preset(text, preset(item)) != text) is added


@pytest.mark.parametrize("text", ["", "{", "[]", '{"configurePresets": {}}', '{"configurePresets": [1]}', "null"])
def test_what_is_no_preset_file_is_a_conflict(text: str) -> None:
    with pytest.raises(EditConflictError, match="presets"):
        edit_preset(text, preset())


def test_a_list_that_stands_elsewhere_too_is_a_conflict() -> None:
    text = '{"configurePresets": [{"name": "ROCm 6", "cacheVariables": {"T": "a"}}], "vendor": {"T": "b"}}'
    with pytest.raises(EditConflictError, match="other places"):
        edit_preset(text, preset())


alternatives = st.lists(
    st.sampled_from(["900", "906", "94[012]", "101[02]", "1030", "110[0-2]"]), min_size=1, unique=True
)
numbers = st.sampled_from(["gfx900", "gfx906", "gfx942", "gfx1011", "gfx1012", "gfx1032", "gfx10-3-generic", "gfx90c"])


@given(alternatives, numbers)
def test_a_filter_lets_the_item_through_and_all_it_let_through_before(listed: list[str], item: str) -> None:
    edit = Filter(files=("x",), variable="T", item=item)
    before = "^gfx(" + "|".join(listed) + ")$"
    text = f'if(X)\n  list(FILTER T INCLUDE REGEX "{before}")\nendif()\n'
    done = edit_filter(text, edit)
    after = re.search(r'"(.*)"', done)
    assert after is not None
    assert re.search(after[1], item)
    assert (done == text) is bool(re.search(before, item))
    assert after[1].startswith(before[:-2])
    assert edit_filter(done, edit) == done


@pytest.mark.parametrize(
    "text",
    ["", 'list(FILTER T INCLUDE REGEX "gfx.*")', 'list(FILTER U INCLUDE REGEX "^gfx(1)$")',
     'list(FILTER T INCLUDE REGEX "^gfx(1)$")' * 2, 'list(FILTER T INCLUDE REGEX "^gfx((1)$")'],
)  # fmt: skip
def test_a_filter_of_another_form_is_a_conflict(text: str) -> None:
    with pytest.raises(EditConflictError):
        edit_filter(text, Filter(files=("x",), variable="T", item="gfx1032"))
