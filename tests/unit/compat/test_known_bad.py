"""Known bad combinations: rows that are true to the other tables, and what the engine makes of them."""

from __future__ import annotations

import msgspec
import pytest
from compat_machines import amd, cuda, debian, gcc, nvidia, rocm, windows

from buildtool.compat import resolve, tables
from buildtool.compat.known_bad import find_bad, within
from buildtool.compat.model import Plan, Request
from buildtool.compat.recipes import load_recipe
from buildtool.compat.targets import parse_targets
from buildtool.compat.versions import parse_wish
from buildtool.probe.model import Host, Libc


def warned(plan: Plan) -> set[str]:
    return {one.rule.removeprefix("known-bad ") for one in plan.decisions if one.subject == "beware"}


def rdna2(**changes: object) -> Host:
    return debian(devices=(amd("gfx1032", "RX 6600"),), **changes)


@pytest.mark.parametrize("row", tables.known_bad(), ids=lambda row: row.id)
def test_a_row_names_what_exists_and_how_it_looks(row: tables.KnownBad) -> None:
    assert row.error
    assert row.cure
    assert parse_targets(row.targets) or not row.targets
    assert not row.toolkit or parse_wish(row.toolkit)
    assert row.toolkit or row.targets or row.variable, "a row without a condition holds everywhere"
    names = {option.name for option in load_recipe("llama.cpp").options}
    assert not row.option or row.option in names


def test_ids_are_unique() -> None:
    ids = [row.id for row in tables.known_bad()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("glibc", ["2.40", "2.41", "2.42", "2.43"])
def test_the_rows_about_glibc_agree_with_the_table_of_toolkits(glibc: str) -> None:
    rows = [row for row in tables.known_bad() if row.glibc]
    for toolkit in tables.cuda_toolkits():
        bad = any(within(row.glibc, glibc) and parse_wish(row.toolkit).admits(toolkit.version) for row in rows)
        newest = toolkit.glibc_max
        assert bad == bool(newest and within(f">{newest}", glibc)), toolkit.version


def test_sccache_is_not_tried_where_it_breaks_the_build() -> None:
    request = Request(targets=("sm_90",), toolkit="cuda==13.5")
    assert resolve(request, debian()).launchers == ("ccache",)
    assert resolve(msgspec.structs.replace(request, toolkit="cuda==13.0"), debian()).launchers == ("sccache", "ccache")


@pytest.mark.parametrize("source", [one.name for one in load_recipe("llama.cpp").sources])
def test_rocwmma_is_never_on_where_it_does_not_exist(source: str) -> None:
    plan = resolve(Request(source=source), rdna2(toolkits=(rocm("6.4.3"),)))
    assert plan.cmake_options.get("GGML_HIP_ROCWMMA_FATTN", "OFF") == "OFF"


def test_a_native_build_warns_of_the_override_and_of_missing_kernels() -> None:
    assert warned(resolve(Request(), rdna2(toolkits=(rocm("6.4.3"),)))) == {
        "rdna2-sibling-kernels",
        "hsa-override-native",
    }
    assert warned(resolve(Request(), rdna2(toolkits=(rocm("10.0.0"),)))) == {"hsa-override-native"}
    assert warned(resolve(Request(), rdna2(toolkits=(rocm("6.4.3", "/usr"),)))) == {"hsa-override-native"}
    assert not warned(resolve(Request(targets=("gfx1030",)), debian(toolkits=(rocm("6.4.3"),))))


def test_vega_is_told_that_newer_packages_have_no_kernels() -> None:
    host = debian(toolkits=(rocm("7.2.1"),))
    assert warned(resolve(Request(targets=("gfx906",)), host)) == {"vega-kernels"}
    assert not warned(resolve(Request(targets=("gfx906",)), debian(toolkits=(rocm("6.3.4"),))))


def test_rows_about_kernels_agree_with_the_releases() -> None:
    for name in ("vega-kernels", "rdna2-sibling-kernels"):
        row = find_bad(name)
        for release in tables.rocm_releases():
            held = set(row.targets) & set(release.rocblas)
            assert bool(held) != parse_wish(row.toolkit).admits(release.version), (name, release.version)


def test_rows_hold_only_on_their_system() -> None:
    host = windows(toolkits=(rocm("6.4.3"),))
    assert warned(resolve(Request(targets=("gfx1151",)), host)) == {"hsa-override-windows"}
    new = debian(toolkits=(rocm("10.0.0"),))
    os = msgspec.structs.replace(new.os, kernel="6.18.4-amd64")
    assert "strix-halo-kernel" in warned(resolve(Request(targets=("gfx1151",)), new))
    assert "strix-halo-kernel" not in warned(
        resolve(Request(targets=("gfx1151",)), debian(toolkits=new.toolkits, os=os))
    )


def test_a_repaired_toolkit_is_not_warned_of() -> None:
    host = debian("13", toolkits=(cuda("12.4.131", "/usr"),), host_compilers=(gcc(13),), devices=(nvidia("sm_61"),))
    assert not warned(resolve(Request(), host))


def test_odd_versions_hold_no_row() -> None:
    odd = debian(libc=Libc(name="glibc", version="unknown"))
    assert not warned(resolve(Request(targets=("sm_90",)), odd))
    assert not within(">=2.41", None)
    assert find_bad("nvcc-new-gcc").cure
