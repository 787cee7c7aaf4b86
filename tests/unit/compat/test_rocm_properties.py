"""The engine's ROCm answers against an independent checker that reads the tables' files by itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from compat_machines import clang, debian, gcc, rocm, windows
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from buildtool import compat
from buildtool.compat import resolve
from buildtool.compat.case import make_case
from buildtool.compat.engine import every
from buildtool.compat.model import Plan, Request
from buildtool.compat.offers import nearest
from buildtool.errors import IncompatibleError, MissingToolError
from buildtool.probe.model import Host

DATA = Path(compat.__file__).parent / "data"
RELEASES = tomllib.loads((DATA / "rocm_releases.toml").read_text())["release"]
TARGETS = {row["name"]: row for row in tomllib.loads((DATA / "amd_targets.toml").read_text())["target"]}
LINUX_ONLY = {name for name, row in TARGETS.items() if row.get("systems") == ["linux"]}

hosts = st.builds(
    lambda make, compilers, installs: make(
        host_compilers=tuple(compilers), toolkits=tuple(rocm(version, path) for version, path in installs)
    ),
    st.sampled_from([debian, windows]),
    st.lists(st.sampled_from([gcc(8), gcc(11), gcc(14), clang(9), clang(18)]), min_size=1, max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from(["5.2.3", "5.7.1", "6.1.2", "6.4.3", "7.2.1", "10.0.0", "11.3"]),
            st.sampled_from(["/opt/rocm", "/usr"]),
        ),
        max_size=2,
    ),
)
wishes = st.builds(
    lambda targets, toolkit: Request(backend="rocm", targets=tuple(targets), toolkit=toolkit),
    # The odd ones often enough that a rule about them is always tried.
    st.lists(st.sampled_from([*sorted(TARGETS), *["gfx803", "gfx942", "gfx1250"] * 4]), min_size=1, max_size=2),
    st.sampled_from([None, None, "rocm>=7", "rocm<7", "rocm==6.4"]),
)


def release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def row_of(version: str) -> dict[str, Any] | None:
    return next((row for row in RELEASES if release(row["version"]) == release(version)[:2]), None)


def asked_for(wish: Request, version: str) -> bool:
    if not wish.toolkit:
        return True
    specifier = wish.toolkit.removeprefix("rocm")
    precision = specifier.count(".") + 1
    return SpecifierSet(specifier).contains(".".join(version.split(".")[:precision]))


def fits(host: Host, wish: Request, version: str, path: str) -> bool:
    """Whether an installed ROCm builds the wish here, by the tables alone; an unknown release is not refused."""
    row = row_of(version)
    compilers = {one.family: 0 for one in host.host_compilers}
    for one in host.host_compilers:
        compilers[one.family] = max(compilers[one.family], release(one.version)[0])
    llvm = int(row["llvm"]) if row else 99
    return (
        all(llvm >= int(TARGETS[name].get("llvm_min") or 0) for name in wish.targets)
        and not (host.os.system == "windows" and LINUX_ONLY & set(wish.targets))
        and not ("gfx803" in wish.targets and path != "/usr")
        and release(version) >= (5, 5)  # an older source takes 5.5 to 6.0
        and asked_for(wish, version)
        and (compilers.get("gcc", 0) >= 11 or compilers.get("clang", 0) >= 12)
    )


def outcome(host: Host, wish: Request) -> Plan | IncompatibleError | MissingToolError:
    try:
        return resolve(wish, host)
    except (IncompatibleError, MissingToolError) as error:
        return error


@given(hosts, wishes)
def test_a_plan_is_found_exactly_when_brute_force_finds_one(host: Host, wish: Request) -> None:
    found = outcome(host, wish)
    ways = {(one.version, one.path) for one in host.toolkits if fits(host, wish, one.version or "", one.path)}
    if not isinstance(found, Plan):
        assert not ways
        return
    assert found.toolkit is not None
    assert (found.toolkit.version, found.toolkit.path) in ways
    assert set(found.targets) == set(wish.targets)
    assert found.cmake_options.get("GGML_HIP_ROCWMMA_FATTN", "OFF") == "OFF"


@given(hosts, wishes)
def test_no_rocm_is_offered_without_kernels_for_every_target(host: Host, wish: Request) -> None:
    if isinstance(outcome(host, wish), Plan):
        return
    case = make_case(wish, host)
    column = "windows" if host.os.system == "windows" else "rocblas"
    for offer in nearest(case, tuple(every(case))):
        if "from AMD's own packages" in offer.first:
            row = row_of(offer.title.removeprefix("ROCm "))
            kept = set(re.findall(r"gfx\w+", offer.command))
            assert row is not None
            assert kept <= set(row.get(column, ()))
            assert "gfx803" not in kept
