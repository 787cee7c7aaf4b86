"""When a toolkit of a server that the user named is taken, and when it is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from compat_machines import cuda, debian, driver, gcc, nvidia, rocm
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat import resolve
from buildtool.compat.model import Plan, Request
from buildtool.compat.tables import cuda_toolkits
from buildtool.compat.vendor import redist_components
from buildtool.errors import GpubuildError
from buildtool.probe.model import Host, Offered, Tool

TOOLS = tuple(Tool(name=name, version=None, path=f"/usr/bin/{name}") for name in ("mmdebstrap", "bwrap"))
RELEASES = ("11.4.4", "11.8.0", "12.0.1", "12.4.0", "12.4.1", "12.9.1", "13.0.2", "13.4.2")


def offering(*versions: str, **changes: Any) -> Host:
    offered = tuple(Offered(kind="cuda", provider="redist", version=version) for version in versions or RELEASES)
    return debian(**({"offered": offered} | changes))


def plan(host: Host, **wish: Any) -> Plan:
    return resolve(Request(**wish), host)


def origin(found: Plan) -> tuple[str, str]:
    assert found.toolkit is not None
    return found.toolkit.provider, found.toolkit.version


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"targets": ("sm_61",)}, ("redist", "12.0.1")),  # the lowest that Debian's GCC 12 can be used with
        ({"targets": ("sm_61",), "toolkit": "cuda==12.4.*"}, ("redist", "12.4.1")),
        ({"targets": ("sm_61",), "toolkit": "cuda>=12.5"}, ("redist", "12.9.1")),
        ({"targets": ("sm_90",)}, ("pypi", "13.0.88")),
        ({"targets": ("sm_75",), "toolkit": "cuda==12.*"}, ("redist", "12.0.1")),
    ],
)
def test_a_named_server_serves_what_no_registry_does(wish: dict[str, Any], expected: tuple[str, str]) -> None:
    assert origin(plan(offering(), **wish)) == expected


def test_its_toolkits_need_a_host_compiler_that_fits_and_a_c_library_too() -> None:
    assert origin(plan(offering(host_compilers=(gcc(11),)), targets=("sm_35",))) == ("redist", "11.4.4")
    with pytest.raises(GpubuildError):
        plan(offering(), targets=("sm_35",))


def test_it_comes_after_an_installed_one_and_before_a_root_filesystem() -> None:
    installed = offering(toolkits=(cuda("12.6.85"),))
    assert origin(plan(installed, targets=("sm_61",)))[0] == "system"
    assert origin(plan(offering(tools=TOOLS), targets=("sm_61",)))[0] == "redist"
    assert origin(plan(offering("12.9.1", tools=TOOLS), targets=("sm_35",)))[0] == "rootfs"


def test_the_driver_decides_among_releases() -> None:
    host = offering(devices=(nvidia("sm_61"),), drivers=(driver("550.1", "12.4"),))
    assert origin(plan(host)) == ("redist", "12.4.1")


def test_the_plan_says_where_it_comes_from_and_why() -> None:
    found = plan(offering(), targets=("sm_61",), runtime="bundle")
    (decision,) = [one for one in found.decisions if one.rule == "toolkit-server"]
    assert "NVIDIA's redistributables" in decision.choice
    assert "package registry" in decision.reason
    assert found.toolkit is not None
    assert found.toolkit.pins == ()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


def test_a_version_nobody_can_read_is_passed_over() -> None:
    with pytest.raises(GpubuildError):
        plan(offering("latest"), targets=("sm_61",), toolkit="cuda==12.*")


@given(st.lists(st.sampled_from([*RELEASES, "9.9.9", "99.0.0", "latest"]), max_size=6),
       st.sampled_from(["sm_35", "sm_61", "sm_90", "sm_120"]))  # fmt: skip
def test_offers_never_take_a_plan_away_and_their_order_never_counts(versions: list[str], target: str) -> None:
    def outcome(host: Host) -> tuple[str, str] | None:
        try:
            return origin(plan(host, targets=(target,)))
        except GpubuildError:
            return None

    without = outcome(debian())
    found = outcome(offering(*versions)) if versions else without
    assert found is not None or without is None
    assert versions == [] or found == outcome(offering(*reversed(versions)))
    if found is not None and found[0] == "redist":
        assert without is None
        row = next(row for row in cuda_toolkits() if found[1].startswith(f"{row.version}."))
        assert target in row.targets


def test_a_release_that_is_not_on_offer_suggests_one_that_is() -> None:
    with pytest.raises(GpubuildError) as caught:
        plan(offering(), targets=("sm_61",), toolkit="cuda==12.9.3")
    assert "Did you mean cuda==12.9.1?" in caught.value.hint


def test_what_makes_a_toolkit_depends_on_the_release() -> None:
    assert set(redist_components("13.0.2")) - set(redist_components("12.9.1")) == {"cuda_crt", "libnvvm"}
    assert {"cuda_nvcc", "cuda_cudart", "cuda_cccl", "libcublas"} <= set(redist_components("11.4.4"))


def amd(*offers: tuple[str, str], provider: str = "therock", **changes: Any) -> Host:
    offered = tuple(
        Offered(kind="rocm", provider=provider, version=version, family=family)  # type: ignore[arg-type]
        for version, family in offers
    )
    return debian(**({"offered": offered} | changes))


@pytest.mark.parametrize(
    ("offers", "wish", "version", "family"),
    [
        ([("7.10.0", "gfx103X-dgpu"), ("7.10.0", "gfx110X-all")], {"targets": ("gfx1101",)}, "7.10.0", "gfx110X-all"),
        ([("7.10.0", "gfx103X-all"), ("7.11.0", "gfx103X-all")], {"targets": ("gfx1032",)}, "7.11.0", "gfx103X-all"),
        ([("7.10.0", "gfx1151"), ("7.12.0a20260101", "gfx1151")], {"targets": ("gfx1151",)}, "7.10.0", "gfx1151"),
        ([("7.12.0a20260101", "gfx1151"), ("7.12.0a20260202", "gfx1151")], {"targets": ("gfx1151",)},
         "7.12.0a20260202", "gfx1151"),
        ([("7.9.0", "gfx1151"), ("10.0.0", "multiarch")], {"targets": ("gfx1032", "gfx1201")}, "10.0.0", "multiarch"),
        ([("7.9.0", "gfx103X-all"), ("7.10.0", "gfx103X-all")], {"targets": ("gfx1030",), "toolkit": "rocm==7.9"},
         "7.9.0", "gfx103X-all"),
    ],
)  # fmt: skip
def test_amds_builds_serve_the_targets_of_their_family(
    offers: list[tuple[str, str]], wish: dict[str, Any], version: str, family: str
) -> None:
    for some in (offers, offers[::-1]):
        found = plan(amd(*some, tools=TOOLS), **wish)
        assert found.toolkit is not None
        assert origin(found) == ("therock", version)
        assert found.toolkit.family == family
        assert found.runtime == "system"


def test_a_family_without_the_target_is_passed_over() -> None:
    with pytest.raises(GpubuildError):
        plan(amd(("7.10.0", "gfx110X-all"), ("7.10.0", "gfx999X-all")), targets=("gfx1032",))
    assert origin(plan(amd(("7.10.0", "gfx110X-all"), tools=TOOLS), targets=("gfx1032",)))[0] == "rootfs"


def test_archives_come_before_wheels_and_an_installed_rocm_before_both() -> None:
    both = (*amd(("7.10.0", "gfx1151")).offered, *amd(("7.11.0", "gfx1151"), provider="therock-wheels").offered)
    assert origin(plan(debian(offered=both), targets=("gfx1151",))) == ("therock", "7.10.0")
    assert origin(plan(debian(offered=both, toolkits=(rocm("6.4.1"),)), targets=("gfx1151",)))[0] == "system"
