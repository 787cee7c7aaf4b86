"""The engine against an independent checker that reads the tables' files by itself and tries everything."""

from __future__ import annotations

import re
import tomllib
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from compat_machines import clang, cuda, debian, driver, gcc, nvidia
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from buildtool import compat
from buildtool.compat import resolve
from buildtool.compat.case import make_case
from buildtool.compat.conflict import smallest_conflict
from buildtool.compat.engine import every
from buildtool.compat.model import Plan, Request
from buildtool.errors import IncompatibleError, MissingToolError
from buildtool.probe.model import Host, Libc

DATA = Path(compat.__file__).parent / "data"
ROWS = {row["version"]: row for row in tomllib.loads((DATA / "cuda_toolkits.toml").read_text())["toolkit"]}
SETS = [row for row in tomllib.loads((DATA / "cuda_pypi.toml").read_text())["set"] if row["platform"] == "linux-x86_64"]
PLAIN = sorted({name for row in ROWS.values() for name in row["targets"] if name[-1].isdigit()})

COMPILERS = [gcc(9), gcc(11), gcc(12), gcc(14), gcc(16), clang(14), clang(21)]
hosts = st.builds(
    lambda compilers, installs, glibc, card, offers: debian(
        host_compilers=tuple(compilers),
        toolkits=tuple(cuda(version) for version in installs),
        libc=Libc(name="glibc", version=glibc),
        devices=(nvidia(card),) if card else (),
        drivers=(driver("1.0", offers),) if offers else (),
    ),
    st.lists(st.sampled_from(COMPILERS), min_size=1, max_size=3),
    st.lists(st.sampled_from(["10.2.89", "11.8.89", "12.4.131", "12.9.86", "13.0.88", "13.3.33", "15.0"]), max_size=2),
    st.sampled_from(["2.31", "2.36", "2.41", "2.42"]),
    st.sampled_from([None, "sm_61", "sm_90"]),
    st.sampled_from([None, "12.4", "13.0", "13.3"]),
)  # fmt: skip
# Few enough that the card of the machine is often among them, and each end of the table too.
ASKED = ["sm_35", "sm_61", "sm_61", "sm_75", "sm_90", "sm_90", "sm_107", "sm_120"]
wishes = st.builds(
    lambda targets, toolkit: Request(backend="cuda", targets=tuple(targets), toolkit=toolkit),
    st.lists(st.sampled_from(ASKED), min_size=1, max_size=3),
    st.sampled_from([None, None, "cuda==13.*", "cuda>=13.2", "cuda<13", "cuda==11.8.*"]),
)


def release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def fits(host: Host, wish: Request, version: str, compiler: Any) -> bool:
    """Whether this toolkit and compiler can build the wish here, by the tables alone."""
    row = ROWS.get(".".join(version.split(".")[:2]))
    if row is None or release(version) < (11, 0):
        return False
    limits = row[compiler.family]
    major = release(compiler.version)[0]
    oldest_for_source = {"gcc": 11, "clang": 12}[compiler.family]
    here = {device.target for device in host.devices}
    for_here = any(target in here for target in wish.targets)
    offers = host.drivers[0].cuda if host.drivers else None
    return (
        set(wish.targets) <= set(row["targets"])
        and max(limits[0], oldest_for_source) <= major <= limits[1]
        and (not row["glibc_max"] or release(host.libc.version or "") <= release(row["glibc_max"]))
        and (not wish.toolkit or SpecifierSet(wish.toolkit.removeprefix("cuda")).contains(version))
        and not (for_here and offers and release(offers)[0] < release(version)[0])
    )


def possible(host: Host, wish: Request) -> set[tuple[str, str]]:
    versions = [one.version or "" for one in host.toolkits] + [row["version"] for row in SETS]
    return {(version, one.cxx) for version in versions for one in host.host_compilers if fits(host, wish, version, one)}


def outcome(host: Host, wish: Request) -> Plan | str:
    try:
        return resolve(wish, host)
    except (IncompatibleError, MissingToolError) as error:
        return msgspec.json.encode(error.as_dict()).decode()


@given(hosts, wishes)
def test_a_plan_is_found_exactly_when_brute_force_finds_one(host: Host, wish: Request) -> None:
    found, ways = outcome(host, wish), possible(host, wish)
    if isinstance(found, str):
        assert not ways
        return
    assert found.toolkit is not None
    assert (found.toolkit.version, found.host_compiler.cxx) in ways
    if found.toolkit.provider == "pypi":
        assert not {version for version, _ in ways} & {one.version for one in host.toolkits}
        assert [msgspec.to_builtins(pin) for pin in found.toolkit.pins] in [row["pins"] for row in SETS]
    asked = {name + ("a" if re.fullmatch(r"sm_12\d", name) else "") for name in wish.targets}
    assert set(found.targets) == asked
    assert found.cmake_options["CMAKE_CUDA_ARCHITECTURES"].count("-real") == len(asked)


@given(hosts, wishes, st.randoms())
def test_the_order_of_inputs_never_changes_the_answer(host: Host, wish: Request, random: Any) -> None:
    def shuffled(values: Any) -> Any:
        mixed = list(values)
        random.shuffle(mixed)
        return tuple(mixed)

    other = msgspec.structs.replace(
        host, host_compilers=shuffled(host.host_compilers), toolkits=shuffled(host.toolkits)
    )
    assert outcome(other, msgspec.structs.replace(wish, targets=shuffled(wish.targets))) == outcome(host, wish)


@pytest.mark.parametrize("order", list(permutations([gcc(11), gcc(12), gcc(14)])))
def test_refused_compilers_are_named_in_one_order(order: tuple[Any, ...]) -> None:
    host = debian(host_compilers=order, toolkits=(cuda("11.8.89"),))
    plan = resolve(Request(backend="cuda", targets=("sm_35",)), host)
    (reason,) = [one.reason for one in plan.decisions if one.rule == "compiler"]
    assert reason.endswith("refused: gcc 12.2.0, gcc 14.2.0")


@given(hosts, wishes)
def test_a_refusal_names_a_smallest_set_of_facts(host: Host, wish: Request) -> None:
    if not isinstance(outcome(host, wish), str):
        return
    case = make_case(wish, host)
    broken = [one.broken for one in every(case) if one.backend == case.backend]
    conflict = set(smallest_conflict(broken))
    assert conflict
    assert all(conflict & one for one in broken)
    for fact in conflict:
        assert any(not one & (conflict - {fact}) for one in broken), f"{fact} can be dropped"


@pytest.mark.parametrize("target", PLAIN)
def test_every_target_gets_a_plan_or_a_way_to_one(target: str) -> None:
    found = outcome(debian(), Request(backend="cuda", targets=(target,)))
    if isinstance(found, str) and "on the machine that has it" not in found:
        assert "works: Vulkan" in found
        assert "works: CPU" in found
