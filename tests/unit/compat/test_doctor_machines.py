"""The doctor from end to end: an imitated machine is probed, examined and diagnosed; each ailment with its cure."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from machines import ImitatedMachine, Program, printing

from buildtool.compat.doctor import Finding, diagnose
from buildtool.probe import detect
from buildtool.probe.health import examine

BUS = "/sys/bus/pci/devices"
KFD = "/sys/class/kfd/kfd/topology/nodes"
RELEASE = {"/etc/os-release": 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'}
USER = {
    "/proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n",
    "/etc/group": "root:x:0:\nvideo:x:44:\nrender:x:105:\n",
}
NAVI23 = "simd_count 64\ngfx_target_version 100302\nvendor_id 4098\ndevice_id 29695\nlocation_id 768\ndomain 0\n"
RAPHAEL = (
    "cpu_cores_count 16\nsimd_count 4\ngfx_target_version 100306\nvendor_id 4098\ndevice_id 5710\n"
    "location_id 5888\ndomain 0\n"
)
BANK = "heap_type 1\nsize_in_bytes 8573157376\n"
SMI = """index, name, compute_cap, memory.total [MiB], pci.bus_id, pci.device_id, driver_version, uuid, mig.mode.current
0, NVIDIA GeForce RTX 4090, 8.9, 24564 MiB, 00000000:01:00.0, 0x268410DE, {driver}, GPU-1, [N/A]
"""
ROCM = {"/opt/rocm/.info/version": "7.0.2-56\n", "/opt/rocm/bin/amdclang++": ""}
AMD = {
    f"{KFD}/0/properties": NAVI23, f"{KFD}/0/mem_banks/0/properties": BANK, "/sys/module/amdgpu/version": "6.12.12\n",
    "/dev/kfd": "", "/dev/dri/renderD128": "",
}  # fmt: skip
NODES = {"/dev/nvidiactl": "", "/sys/module/nvidia/version": "x"}


def on_the_bus(address: str, vendor: str, device: str) -> dict[str, str]:
    folder = f"{BUS}/{address}"
    return {f"{folder}/class": "0x030000\n", f"{folder}/vendor": f"{vendor}\n", f"{folder}/device": f"{device}\n"}


CARD = on_the_bus("0000:01:00.0", "0x10de", "0x2684")
RADEON = on_the_bus("0000:03:00.0", "0x1002", "0x73ff")


def cuda(version: str, header: str = "") -> dict[str, str]:
    root = "/usr/local/cuda"
    return {
        f"{root}/version.json": f'{{"cuda": {{"name": "CUDA SDK", "version": "{version}"}}}}',
        f"{root}/bin/nvcc.profile": "",
        f"{root}/include/crt/math_functions.h": header,
    }


GUARDED = "__NV_GLIBC_PROVIDES_IEC_60559_FUNCS _NV_RSQRT_SPECIFIER"


def gcc(version: str) -> dict[str, Program]:
    return {"/usr/bin/g++": printing(f"{version}\n"), "/usr/bin/gcc": printing(f"{version}\n")}


def smi(driver: str) -> dict[str, Program]:
    return {"/usr/bin/nvidia-smi": printing(SMI.format(driver=driver))}


def findings(
    files: Mapping[str, str],
    programs: Mapping[str, Program] | None = None,
    *,
    closed: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    machine = ImitatedMachine(
        files={**RELEASE, **files}, programs={**gcc("14.2.0"), **(programs or {})}, closed=closed, environ=environ,
        links=links,
    )  # fmt: skip
    host = detect(machine=machine)
    return diagnose(host, examine(host, machine))


@pytest.mark.parametrize(
    ("files", "programs"),
    [
        ({}, {}),
        ({**AMD, **RADEON, **ROCM}, {}),
        ({**CARD, **NODES, **cuda("13.3.33", GUARDED)}, smi("580.95.05")),
    ],
    ids=["no GPU", "AMD", "NVIDIA"],
)
def test_a_healthy_machine_is_left_alone(files: dict[str, str], programs: dict[str, Program]) -> None:
    assert findings(files, programs) == ()


def test_driver_too_old_for_the_toolkit() -> None:
    (found,) = findings({**CARD, **NODES, **cuda("13.3.33", GUARDED)}, smi("550.54.14"))
    assert found.id == "driver-too-old"
    assert "550.54.14" in found.what
    assert found.cure == 'update the NVIDIA driver to 580 or newer, or: gpubuild plan --toolkit "cuda<13"'
    assert "driver version is insufficient" in found.why


def test_user_not_in_render_and_video() -> None:
    (found,) = findings({**AMD, **RADEON, **USER}, closed=("/dev/kfd", "/dev/dri/renderD128"))
    assert found.id == "no-permission"
    assert "/dev/kfd" in found.what
    assert found.why == "The user is not in render and video."
    assert found.cure.startswith("sudo usermod -aG render,video $USER")


@pytest.mark.parametrize(
    "said",
    [
        "hsa api call failure at: /src/rocminfo/rocminfo.cc:1220\nCall returned HSA_STATUS_ERROR_OUT_OF_RESOURCES\n",
        "ROCk module is loaded\nhsa_init Failed, possibly no supported GPU devices\n",
    ],
)
def test_kfd_is_fine_but_hsa_init_fails(said: str) -> None:
    (found,) = [
        one for one in findings({**AMD, **RADEON}, {"/opt/rocm/bin/rocminfo": printing(said, 1)}) if one.id != "probe"
    ]
    assert found.id == "hsa-init"
    assert "dmesg" in found.cure


def test_nouveau_holds_the_card() -> None:
    folder = f"{BUS}/0000:01:00.0"
    found = findings(
        {**CARD, "/sys/module/nouveau/refcnt": "1"}, links={f"{folder}/driver": "/sys/bus/pci/drivers/nouveau"}
    )
    assert found[0].id == "nouveau"
    assert "blacklist nouveau" in found[0].cure
    assert "update-initramfs" in found[0].cure


def test_compiler_too_new() -> None:
    (found,) = findings({**CARD, **NODES, **cuda("13.3.33", GUARDED)}, {**smi("580.95.05"), **gcc("17.1.0")})
    assert found.id == "compiler-too-new"
    assert "accepts GCC" in found.what
    assert "gcc 17.1.0" in found.what
    assert "apt-get install g++-14" in found.cure
    assert "unsupported GNU version" in found.why


def test_header_without_the_glibc_guard() -> None:
    (found,) = findings({**CARD, **NODES, **cuda("12.9.86", "double cospi(double);")}, smi("580.95.05"))
    assert found.id == "header-without-guard"
    assert "glibc 2.41" in found.what
    assert "gpubuild toolchain install" in found.cure


def test_override_set_together_with_a_native_build() -> None:
    (found,) = findings({**AMD, **RADEON, **ROCM}, environ={"HSA_OVERRIDE_GFX_VERSION": "10.3.0"})
    assert found.id == "hsa-override-native"
    assert "unset HSA_OVERRIDE_GFX_VERSION" in found.cure


def test_igpu_shadows_the_card() -> None:
    files = {**AMD, **RADEON, f"{KFD}/1/properties": RAPHAEL, f"{KFD}/1/mem_banks/0/properties": BANK}
    (found,) = findings(files)
    assert found.id == "igpu-shadows"
    assert found.cure == "export ROCR_VISIBLE_DEVICES=0"
    assert findings(files, environ={"ROCR_VISIBLE_DEVICES": "0"}) == ()


@pytest.mark.parametrize(
    ("files", "cure"), [(CARD, "docker run --gpus all"), (RADEON, "--device /dev/kfd --device /dev/dri")]
)
def test_container_without_devices(files: dict[str, str], cure: str) -> None:
    found = [one for one in findings({**files, "/.dockerenv": ""}) if one.id != "probe"]
    assert [one.id for one in found] == ["container-without-devices"]
    assert cure in found[0].cure
