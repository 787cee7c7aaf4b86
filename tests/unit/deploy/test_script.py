"""`--print-script`: what is printed parses, names the right places, and is never more than what gpubuild would do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import ollama_trees as trees
import pytest
import tree_sitter
import tree_sitter_powershell
from installation import UNIT

from buildtool.compat.targets import parse_target
from buildtool.deploy import watch
from buildtool.deploy.enable import Plan, Wish
from buildtool.deploy.manager import Manager, drop_in_text
from buildtool.deploy.model import Installation
from buildtool.deploy.script import script
from buildtool.deploy.site import Site, copied
from buildtool.deploy.status import status
from buildtool.deploy.ways import choose, ways
from buildtool.errors import IncompatibleError, ServiceError
from buildtool.probe.machine import System
from buildtool.probe.model import Device, Host, OperatingSystem


def planned(root: Path, device: Device, system: System, method: str) -> tuple[Site, Installation, Plan]:
    site = copied(root)
    (one,) = status(site, (device,)).installations
    (target, *_) = parse_target(device.target or "")
    os = OperatingSystem(system=system, machine="x86_64", id=system, version="", name=system, kernel="")
    found = ways(one, one.verdicts[0], target, Host(os=os, devices=(device,)))
    plan = Plan(prefix=one.prefix, device=device.name, target=str(target), ways=found, chosen=choose(found, method))
    return site, one, plan


def problems(node: tree_sitter.Node) -> list[str]:
    found = [str(node)] if node.is_error or node.is_missing else []
    return found + [words for child in node.children for words in problems(child)]


def tree(text: str) -> tree_sitter.Node:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    return parser.parse(text.encode()).root_node


def named(node: tree_sitter.Node, kind: str) -> list[tree_sitter.Node]:
    found = [node] if node.type == kind else []
    return found + [one for child in node.children for one in named(child, kind)]


def parsed(text: str) -> list[str]:
    return problems(tree(text))


def test_the_grammar_finds_a_mistake() -> None:
    assert parsed("if (Test-Path x { throw 'no' }\n")
    assert not parsed("if (Test-Path x) { throw 'no' }\n")


def test_powershell_for_an_rx_6600_on_windows(tmp_path: Path) -> None:
    site, one, plan = planned(trees.windows(tmp_path), trees.RX6600, "windows", "retarget")
    text = script(site, one, plan, Wish(), "windows")
    assert parsed(text) == []
    folder = r"C:\Users\Ada\AppData\Local\Programs\Ollama\lib\ollama"
    assert f"$final = '{folder}\\rocm_v7_1_gpubuild_gfx1032'" in text, "a bare word would be a command"
    assert "--from gfx1030 --to gfx1032 --thin" in text
    assert "Set-ExecutionPolicy" not in text
    assert "HSA_OVERRIDE" not in text


def test_on_windows_a_scheduled_task_does_it_again(tmp_path: Path) -> None:
    site, one, plan = planned(trees.windows(tmp_path), trees.RX6600, "windows", "retarget")
    plain = script(site, one, plan, Wish(), "windows")
    text = script(site, one, plan, Wish(watch=True), "windows")
    assert parsed(text) == []
    assert "ScheduledTask" not in plain
    prefix = r"C:\Users\Ada\AppData\Local\Programs\Ollama"
    wanted = f"""-Argument 'ollama enable --prefix "{prefix}" --for-device gfx1032 --yes --now'"""
    assert wanted in text
    assert "Register-ScheduledTask -TaskName gpubuild-ollama" in text
    assert "# and: Unregister-ScheduledTask -TaskName gpubuild-ollama" in text
    commands = {str(one.text.decode()) for one in named(tree(text), "command_name")}
    assert {"New-ScheduledTaskAction", "New-ScheduledTaskTrigger", "Register-ScheduledTask"} <= commands
    assert not {one for one in commands if "\\" in one or "://" in one}, "no path and no address is taken for a command"


def test_the_watcher_of_a_script_needs_no_record(tmp_path: Path) -> None:
    site, one, plan = planned(trees.linux(tmp_path), trees.RX6600, "linux", "retarget")
    text = script(site, one, plan, Wish(watch=True), "linux")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "ConditionPathExists=!/usr/local/lib/ollama/rocm_v7_2_gpubuild_gfx1032" in text
    assert "systemctl enable --now gpubuild-ollama.path" in text
    assert "--for-device gfx1032 --method retarget --yes --now" in text
    site, one, plan = planned(trees.linux(tmp_path / "b", unit=""), trees.RX6600, "linux", "retarget")
    with pytest.raises(ServiceError, match="Only systemd"):
        script(site, one, plan, Wish(watch=True), "linux")


@pytest.mark.parametrize("method", ["retarget", "override"])
def test_bash_parses_and_asks_for_root_only_where_root_writes(tmp_path: Path, method: str) -> None:
    site, one, plan = planned(trees.linux(tmp_path), trees.RX6600, "linux", method)
    text = script(site, one, plan, Wish(model="smollm2:135m"), "linux")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    checker = shutil.which("shellcheck")
    if checker is not None:
        subprocess.run([checker, "-"], input=text, text=True, check=True)
    assert "model=smollm2:135m" in text
    assert "# Out again:" in text


def test_a_build_is_no_script(tmp_path: Path) -> None:
    trees.linux(tmp_path, prefix="usr", unit="")
    trees.write(tmp_path / "var/lib/dpkg/info/ollama.list", "/usr/bin/ollama\n")
    trees.write(tmp_path / "var/lib/dpkg/status", "Package: ollama\nVersion: 0.35.0\n")
    shutil.rmtree(tmp_path / "usr/lib/ollama/vulkan")
    site = copied(tmp_path)
    (one,) = status(site, (trees.RTX3060,)).installations
    (target, *_) = parse_target("sm_86")
    os = OperatingSystem(system="linux", machine="x86_64", id="debian", version="", name="Debian", kernel="")
    found = ways(one, one.verdicts[0], target, Host(os=os), built=True)
    plan = Plan(prefix=one.prefix, device="RTX 3060", target="sm_86", ways=found, chosen=choose(found, "compile"))
    with pytest.raises(IncompatibleError, match="is a build"):
        script(site, one, plan, Wish(), "linux")


def test_the_units_that_gpubuild_writes_are_systemds_own_language(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    odd = f'{tmp_path}/my 100% $HOME "tool" \\x'
    command = watch.line_of((odd, "ollama", "reapply", "--prefix", odd, "--now"))
    (tmp_path / watch.PATH_UNIT).write_text(watch.path_unit(odd))
    (tmp_path / watch.SERVICE_UNIT).write_text(watch.service_unit(command, odd))
    (tmp_path / UNIT).write_text("[Service]\nExecStart=/bin/true serve\n")
    (tmp_path / f"{UNIT}.d").mkdir()
    (tmp_path / f"{UNIT}.d/50-gpubuild.conf").write_bytes(drop_in_text({"A": "1"}, "RX 6600 (gfx1032)"))
    units = [str(tmp_path / name) for name in (watch.PATH_UNIT, watch.SERVICE_UNIT, UNIT)]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "gpubuild" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_what_systemd_runs_is_what_was_meant() -> None:
    words = ("/home/me/my tools/gpubuild", "--prefix", 'a "b" \\c $HOME ${X} 100%h')
    line = watch.line_of(words)
    assert line == ('/usr/bin/env "/home/me/my tools/gpubuild" --prefix "a \\"b\\" \\\\c $$HOME $${X} 100%%h"')


def test_a_card_with_a_name_of_several_lines_stays_in_its_comment(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(trees.RX6600, name="RX 6600\nrm -rf x")
    site, one, plan = planned(trees.linux(tmp_path), odd, "linux", "override")
    text = script(site, one, plan, Wish(), "linux")
    assert not any(line.startswith("rm -rf") for line in text.splitlines())


def test_without_systemd_nobody_watches(tmp_path: Path) -> None:
    site, one, _ = planned(trees.windows(tmp_path), trees.RX6600, "windows", "retarget")
    with pytest.raises(ServiceError, match="Only systemd"):
        watch.files(site, one, tmp_path)
    assert "tray" in Manager(service=one.service).by_hand
