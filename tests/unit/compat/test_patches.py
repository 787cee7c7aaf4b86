"""Which patches a plan has, and what its wheels tell of them."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from compat_machines import debian, rocm
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat import resolve, tables
from buildtool.compat.model import Plan, Request
from buildtool.compat.patches import choose_patches, explain_reach, with_patches
from buildtool.compat.recipes import load_recipe
from buildtool.compat.series import load_series
from buildtool.compat.sources import choose_sources
from buildtool.compat.targets import known_amd, parse_targets
from buildtool.compat.versions import parse_wish
from buildtool.errors import UnknownNameError

RECIPE = load_recipe("llama.cpp")
SOURCES = choose_sources(None, RECIPE)
chips = st.lists(st.sampled_from(sorted(known_amd())), unique=True, max_size=6)


def plan(*targets: str, source: str | None = None) -> Plan:
    host = debian("12", toolkits=(rocm("7.0.2"),))
    return resolve(Request(backend="rocm", targets=targets, source=source), host)


@pytest.mark.parametrize(
    ("target", "day", "names"),
    [
        ("gfx1032", "lcp0.3.36", []),
        ("gfx1030", "lcp0.3.4", []),
        ("gfx1013", "lcp0.3.36", ["hip-rdna1"]),
        ("gfx1011", "lcp0.3.4", ["hip-rdna1"]),
        ("gfx10-3-generic", "b11434", ["hip-rdna2"]),
        ("gfx1152", "lcp0.3.32", []),
        ("gfx1152", "lcp0.3.28", ["hip-rdna3.5"]),
        ("gfx1153", "lcp0.3.16", []),
        ("gfx1153", "lcp0.3.9", ["hip-rdna3"]),
        ("gfx90c", "lcp0.3.36", ["hip-gcn5"]),
        ("gfx90c:xnack-", "lcp0.3.32", ["hip-gcn5", "hip-gcn5-apu"]),
        ("gfx902", "lcp0.3.32", ["hip-gcn5"]),
        ("gfx906", "lcp0.3.36", []),
    ],
)
def test_a_target_gets_what_its_source_lacks_and_nothing_else(target: str, day: str, names: list[str]) -> None:
    (source,) = choose_sources(day, RECIPE)
    chosen = choose_patches("llama.cpp", source, "rocm", parse_targets([target]))
    assert [one.plan.name for one in chosen] == names
    assert all(one.plan.targets == (target,) for one in chosen)


def test_a_plan_names_its_patches_with_the_reason() -> None:
    found = plan("gfx1013", "gfx1030")
    assert [(one.name, one.targets) for one in found.patches] == [("hip-rdna1", ("gfx1013",))]
    assert found.patches[0].sha256 == load_series("llama.cpp").patch("hip-rdna1").sha256
    (decision,) = [one for one in found.decisions if one.subject == "patches"]
    assert decision.choice == "hip-rdna1 for gfx1013"
    assert "RDNA1" in decision.reason
    assert decision.sources


def test_a_patch_is_part_of_the_plans_identity_and_of_the_backends_version_alone() -> None:
    patched, plain = plan("gfx1013"), plan("gfx1032")
    assert plain.patches == ()
    assert patched.digest() != msgspec.structs.replace(patched, patches=()).digest()
    runtime, backend = patched.wheels
    assert runtime == plain.wheels[0]
    assert backend.version.rpartition(".")[0].endswith("gfx1013")
    assert plan("gfx1011").wheels[1].version.rpartition(".")[2] != backend.version.rpartition(".")[2]
    assert with_patches(patched, patched.patches) == patched


def test_of_a_tree_without_a_date_every_patch_is_tried_and_the_tree_decides() -> None:
    found = plan("gfx1152", "gfx1013", source="https://example.invalid/llama.cpp#b11434")
    assert [one.name for one in found.patches] == ["hip-rdna1", "hip-rdna3", "hip-rdna3.5"]
    assert all("left out" in one.reason for one in found.decisions if one.subject == "patches")
    assert found.wheels[1].version.endswith("gfx1013.gfx1152")
    needed = with_patches(found, found.patches[:1])
    assert needed.patches == found.patches[:1]
    assert needed.wheels[0] == found.wheels[0]
    assert needed.wheels[1].version.startswith(found.wheels[1].version + ".p")
    assert with_patches(found, ()).wheels == found.wheels


def test_other_backends_get_no_patch() -> None:
    (source, *_) = SOURCES
    assert choose_patches("llama.cpp", source, "vulkan", parse_targets(["gfx1013"])) == ()
    assert choose_patches("no such project", source, "rocm", parse_targets(["gfx1013"])) == ()


@given(chips, st.sampled_from(SOURCES), st.dates(dt.date(2023, 1, 1), dt.date(2030, 1, 1)) | st.none())
def test_each_patch_is_for_targets_that_are_planned(names: list[str], offered: object, day: dt.date | None) -> None:
    source = msgspec.structs.replace(offered, date=day)  # type: ignore[type-var]
    targets = parse_targets(names)
    chosen = choose_patches("llama.cpp", source, "rocm", targets)  # type: ignore[arg-type]
    again = choose_patches("llama.cpp", source, "rocm", tuple(reversed(targets)))  # type: ignore[arg-type]
    assert [one.plan.name for one in chosen] == [one.plan.name for one in again]
    assert all(set(one.plan.targets) <= set(names) and one.plan.targets for one in chosen)
    alone = {one.plan.name for name in names
             for one in choose_patches("llama.cpp", source, "rocm", parse_targets([name]))}  # type: ignore[arg-type]  # fmt: skip
    assert {one.plan.name for one in chosen} == alone


def test_a_name_nobody_knows_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_series("llama.cpp").patch("hip-rnda1")
    assert "hip-rdna1" in caught.value.hint


def test_every_source_tells_how_far_down_it_goes() -> None:
    for source in SOURCES:
        (row,) = [one for one in RECIPE.reaches if one.holds_on(source.date)]
        (target,) = parse_targets([row.oldest])
        assert any(row.oldest in toolkit.targets for toolkit in tables.cuda_toolkits()
                   if parse_wish(row.toolkit).admits(toolkit.version))  # fmt: skip
        (decision,) = explain_reach(RECIPE.reaches, source, [target])
        assert decision.choice == "down to sm_35 with cuda 11.8"
        assert explain_reach(RECIPE.reaches, source, parse_targets(["sm_60", "gfx1032"])) == []
