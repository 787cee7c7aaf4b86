"""The doctor: each ailment by itself on an imitated machine, the worst first, and a healthy machine is left alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from compat_machines import amd, cuda, debian, driver, gcc, nvidia, rocm, ubuntu, windows

from buildtool.cli.doctor import WIDTH, render
from buildtool.compat.doctor import Finding, diagnose
from buildtool.probe.health import Guards, Health
from buildtool.probe.model import Host

RX_6600 = amd("gfx1032", "RX 6600")
H100 = nvidia("sm_90", "H100")
OPEN: dict[str, Any] = {"/dev/kfd": "open", "/dev/dri/renderD128": "open", "/dev/nvidiactl": "open"}
RADEON = debian(devices=(RX_6600,), toolkits=(rocm("10.0.0"),))
HOPPER = debian(devices=(H100,), drivers=(driver("580.95.05", "13.0"),), toolkits=(cuda("13.0.88"),))


def health(**changes: Any) -> Health:
    return Health(**({"modules": ("amdgpu", "nvidia"), "nodes": OPEN} | changes))


def change(host: Host, **changes: Any) -> Host:
    return msgspec.structs.replace(host, **changes)


def inside(host: Host) -> Host:
    return change(host, os=msgspec.structs.replace(host.os, container="docker"))


def card(target: str, name: str, *, integrated: bool, index: int) -> Any:
    return msgspec.structs.replace(amd(target, name), integrated=integrated, index=index)


PAIR = (card("gfx1036", "Raphael", integrated=True, index=0), card("gfx1100", "RX 7900 XTX", integrated=False, index=1))


@pytest.mark.parametrize("host", [debian(), RADEON, HOPPER, ubuntu(), windows(), inside(debian()), inside(HOPPER)])
def test_a_healthy_machine_is_left_alone(host: Host) -> None:
    guards = tuple(Guards(path=one.path, glibc_2_41=True, glibc_2_42=True) for one in host.toolkits)
    assert diagnose(host, health(headers=guards)) == ()


@pytest.mark.parametrize(
    ("host", "state", "name", "cure"),
    [
        (change(HOPPER, drivers=(driver("550.54.14", "12.4"),)), health(), "driver-too-old", "to 580 or newer"),
        (RADEON, health(nodes=OPEN | {"/dev/kfd": "denied"}, missing_groups=("render", "video")), "no-permission",
         "usermod -aG render,video"),
        (RADEON, health(nodes=OPEN | {"/dev/dri/renderD128": "denied"}), "no-permission", "udev"),
        (RADEON, health(hsa="hsa api call failure at: rocminfo.cc:1220"), "hsa-init", "dmesg"),
        (RADEON, health(nodes={}, modules=()), "no-kfd", "modprobe amdgpu"),
        (RADEON, health(nodes={}, modules=("amdgpu",)), "no-kfd", "Vulkan"),
        (change(HOPPER, drivers=()), health(modules=("nouveau",), nodes={}), "nouveau", "blacklist nouveau"),
        (change(HOPPER, drivers=()), health(modules=(), nodes={}), "no-nvidia-driver", "modprobe nvidia"),
        (debian(toolkits=(cuda("11.8.89"),)), health(), "compiler-too-new", "apt-get install g++-11"),
        (debian(host_compilers=()), health(), "no-compiler", "apt-get install g++"),
        (debian("13", toolkits=(cuda("12.9.86", "/opt/cuda"),)),
         health(headers=(Guards(path="/opt/cuda", glibc_2_41=False, glibc_2_42=False),)), "header-without-guard",
         'toolchain install "cuda>=13.2"'),
        (RADEON, health(environment={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}), "hsa-override-native",
         "unset HSA_OVERRIDE"),
        (debian(devices=(amd("gfx90a", "MI210"),)), health(environment={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}),
         "hsa-override-forgotten", "unset HSA_OVERRIDE"),
        (change(RADEON, devices=PAIR), health(), "igpu-shadows", "export ROCR_VISIBLE_DEVICES=1"),
        (windows(devices=PAIR), Health(), "igpu-shadows", "setx HIP_VISIBLE_DEVICES 1"),
        (inside(HOPPER), health(nodes={}), "container-without-devices", "--gpus all"),
        (inside(RADEON), health(nodes={}), "container-without-devices", "--device /dev/kfd"),
        (debian(warnings=("nvml: Driver/library version mismatch. Reboot.",)), health(), "probe", "Reboot."),
    ],
)  # fmt: skip
def test_each_ailment_is_found_alone_and_cured(host: Host, state: Health, name: str, cure: str) -> None:
    (found,) = diagnose(host, state)
    assert found.id == name
    assert found.what
    assert cure in found.cure


def test_a_repaired_header_is_believed_over_the_version() -> None:
    host = debian("13", toolkits=(cuda("12.4.131", "/usr"),), host_compilers=(gcc(13),))
    assert diagnose(host, health(headers=(Guards(path="/usr", glibc_2_41=True, glibc_2_42=False),))) == ()


def test_a_choice_of_the_user_and_wsl_are_respected() -> None:
    chosen = health(environment={"HIP_VISIBLE_DEVICES": "1"})
    assert diagnose(change(RADEON, devices=PAIR), chosen) == ()
    assert diagnose(change(RADEON, os=msgspec.structs.replace(RADEON.os, wsl=True)), health(nodes={})) == ()


def test_an_override_to_the_cards_own_target_harms_nobody() -> None:
    same = health(environment={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"})
    assert diagnose(debian(devices=(amd("gfx1030", "RX 6800"),)), same) == ()
    assert diagnose(HOPPER, same) == ()


def test_declared_devices_need_no_driver() -> None:
    declared = msgspec.structs.replace(H100, source="environment")
    assert diagnose(debian(devices=(declared,)), Health()) == ()


def test_the_worst_comes_first_and_fits_the_screen() -> None:
    host = change(RADEON, devices=PAIR, warnings=("rocminfo: odd. Look.",))
    found = diagnose(host, health(nodes=OPEN | {"/dev/kfd": "denied"}, missing_groups=("render",)))
    assert [one.severity for one in found] == ["error", "warning", "warning"]
    assert all(len(line) <= WIDTH for line in render(found, []))


def test_nothing_wrong_is_said() -> None:
    assert list(render((), ["H100"])) == ["Nothing is wrong here. GPUs: H100."]


def test_findings_are_data() -> None:
    finding = Finding(severity="error", id="x", what="a", why="b", cure="c")
    assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding
