"""`detect` on imitated machines: mixed hosts, Windows, broken drivers, declared devices."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from machines import ImitatedMachine, crashing, hanging, printing, stuck  # type: ignore[import-not-found]

from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.probe import detect, devices
from buildtool.probe.machine import Output

SMI = """index, name, compute_cap, memory.total [MiB], pci.bus_id, pci.device_id, driver_version, uuid, mig.mode.current
0, NVIDIA GeForce RTX 4090, 8.9, 24564 MiB, 00000000:01:00.0, 0x268410DE, 580.95.05, GPU-1, [N/A]
"""
KFD = "/sys/class/kfd/kfd/topology/nodes"
NAVI23 = "simd_count 64\ngfx_target_version 100302\nvendor_id 4098\ndevice_id 29695\nlocation_id 768\ndomain 0\n"
BUS = "/sys/bus/pci/devices"


def pci(address: str, vendor: str, device: str, driver: str | None = None, kind: str = "0x030000") -> ImitatedMachine:
    folder = f"{BUS}/{address}"
    files = {f"{folder}/class": f"{kind}\n", f"{folder}/vendor": f"{vendor}\n", f"{folder}/device": f"{device}\n"}
    links = {f"{folder}/driver": f"/sys/bus/pci/drivers/{driver}"} if driver else {}
    return ImitatedMachine(files=files, links=links)


def test_a_mixed_host_shows_all_devices_once() -> None:
    card, board = pci("0000:03:00.0", "0x1002", "0x73ff", "amdgpu"), pci("0000:01:00.0", "0x10de", "0x2684", "nvidia")
    machine = ImitatedMachine(
        files={
            **card.files,
            **board.files,
            f"{KFD}/0/properties": "cpu_cores_count 16\nsimd_count 0\n",
            f"{KFD}/1/properties": NAVI23,
            f"{KFD}/1/mem_banks/0/properties": "heap_type 1\nsize_in_bytes 8573157376\n",
            "/sys/module/amdgpu/version": "6.12.12\n",
        },
        links={**card.links, **board.links},
        programs={"/usr/bin/nvidia-smi": printing(SMI)},
    )
    host = detect(machine=machine)
    assert [(d.vendor, d.target, d.vram_mib, d.pci, d.source, d.integrated) for d in host.devices] == [
        ("nvidia", "sm_89", 24564, "0000:01:00.0", "nvidia-smi-query", False),
        ("amd", "gfx1032", 8176, "0000:03:00.0", "kfd", False),
    ]
    assert host.devices[1].name == "Radeon RX 6600/6600 XT/6600M"
    assert {driver.vendor: driver.version for driver in host.drivers} == {"nvidia": "580.95.05", "amd": "6.12.12"}
    assert host.warnings == ()


def test_a_card_without_a_driver_is_found_on_the_bus() -> None:
    host = detect(machine=pci("0000:01:00.0", "0x10de", "0x102d", "nouveau", kind="0x030200"))
    assert [(d.target, d.name, d.source) for d in host.devices] == [("sm_37", "Tesla K80", "pci")]
    assert any("nouveau" in text for text in host.warnings)


def test_a_card_reserved_for_a_virtual_machine_is_not_usable() -> None:
    host = detect(machine=pci("0000:01:00.0", "0x10de", "0x2684", "vfio-pci"))
    assert [device.usable for device in host.devices] == [False]


def test_a_board_controller_is_no_gpu() -> None:
    assert detect(machine=pci("0000:24:00.0", "0x1a03", "0x2000", "ast")).devices == ()


def test_an_old_nvidia_smi_is_asked_for_its_xml() -> None:
    xml = """<?xml version="1.0" ?><nvidia_smi_log><driver_version>470.256.02</driver_version>
    <cuda_version>11.4</cuda_version><attached_gpus>1</attached_gpus><gpu id="00000000:05:00.0">
    <product_name>Tesla K80</product_name><fb_memory_usage><total>11441 MiB</total></fb_memory_usage>
    <pci><pci_device_id>102D10DE</pci_device_id></pci></gpu></nvidia_smi_log>"""

    def smi(argv: tuple[str, ...]) -> Output:
        if "-x" in argv:
            return Output(returncode=0, text=xml)
        return Output(returncode=2, text='Field "compute_cap" is not a valid field to query.\n')

    host = detect(machine=ImitatedMachine(programs={"/usr/bin/nvidia-smi": smi}))
    assert [(d.target, d.compute_capability, d.vram_mib) for d in host.devices] == [("sm_37", "3.7", 11441)]
    assert host.drivers[0].cuda == "11.4"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (hanging, "did not answer within"),
        (crashing, "the probe itself is broken"),
        (printing("Failed to initialize NVML: Driver/library version mismatch\n", 18), "reboot"),
        (printing("\x00\x7fELF junk"), "not understood"),
        (printing("", -11), "exit code -11"),
    ],
)
def test_a_broken_tool_costs_its_result_and_a_warning(program: object, words: str) -> None:
    card = pci("0000:01:00.0", "0x10de", "0x2684", "nvidia")
    machine = ImitatedMachine(files=card.files, links=card.links, programs={"/usr/bin/nvidia-smi": program})
    host = detect(machine=machine)
    assert [device.target for device in host.devices] == ["sm_89"]
    assert any(words in text for text in host.warnings)


def test_what_was_found_before_a_tool_hung_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LIMIT_S", 0.3)
    machine = ImitatedMachine(files={f"{KFD}/1/properties": NAVI23}, programs={"/usr/bin/rocminfo": stuck})
    host = detect(machine=machine)
    assert [(device.target, device.source) for device in host.devices] == [("gfx1032", "kfd")]
    assert any("amd" in text and "did not answer" in text for text in host.warnings)


def test_a_tool_that_cannot_be_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LIMIT_S", 0.3)
    card = pci("0000:03:00.0", "0x1002", "0x73ff", "amdgpu")
    machine = ImitatedMachine(files=card.files, links=card.links, programs={"/usr/bin/nvidia-smi": stuck})
    start = time.monotonic()
    host = detect(machine=machine)
    assert time.monotonic() - start < 5
    assert [device.target for device in host.devices] == ["gfx1032"]
    assert any("nvidia" in text and "did not answer" in text for text in host.warnings)


WINDOWS_REGISTRY = r"""
HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}\0000
    DriverDesc    REG_SZ    AMD Radeon RX 6600
    MatchingDeviceId    REG_SZ    PCI\VEN_1002&DEV_73FF&REV_C7
    DriverVersion    REG_SZ    32.0.21025.1024
    HardwareInformation.qwMemorySize    REG_QWORD    0x1ff000000

HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}\0001
    DriverDesc    REG_SZ    NVIDIA GeForce RTX 3070
    MatchingDeviceId    REG_SZ    pci\ven_10de&dev_2488
    DriverVersion    REG_SZ    32.0.15.8157

HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}\0002
    DriverDesc    REG_SZ    Microsoft Remote Display Adapter
    MatchingDeviceId    REG_SZ    RdpIdd_IndirectDisplay
"""
HIPINFO = """device#                           0
Name:                             AMD Radeon RX 6600
pciBusID:                         3
pciDeviceID:                      0
pciDomainID:                      0
totalGlobalMem:                   7.98 GB
isIntegrated:                     0
gcnArchName:                      gfx1032
"""


def windows(**programs: str) -> ImitatedMachine:
    return ImitatedMachine(
        system="windows",
        kernel="10.0.22631",
        programs={r"C:\Windows\System32\reg.exe": printing(WINDOWS_REGISTRY)}
        | {path: printing(text) for path, text in programs.items()},
        environ={"SYSTEMROOT": r"C:\Windows"},
    )


def test_windows_without_any_sdk() -> None:
    host = detect(machine=windows())
    assert [(d.vendor, d.target, d.vram_mib, d.driver) for d in host.devices] == [
        ("amd", "gfx1032", 8176, "32.0.21025.1024"),
        ("nvidia", "sm_86", None, "581.57"),
    ]
    assert (host.os.name, host.libc.name if host.libc else None) == ("Windows 11", "msvcrt")


def test_windows_with_the_hip_sdk_is_the_same_card_once() -> None:
    machine = windows(**{r"C:\Program Files\AMD\ROCm\6.2\bin\hipInfo.exe": HIPINFO})
    amd = [device for device in detect(machine=machine).devices if device.vendor == "amd"]
    assert [(d.target, d.pci, d.device_id, d.source) for d in amd] == [
        ("gfx1032", "0000:03:00.0", "1002:73ff", "hipinfo")
    ]


def test_windows_finds_msvc() -> None:
    root = r"C:\Program Files\Microsoft Visual Studio\2022\Community"
    machine = windows(
        **{
            r"C:\Program Files (x86)\Microsoft Visual Studio\Installer\vswhere.exe": json.dumps(
                [{"instanceId": "1", "installationPath": root}]
            )
        }
    )
    machine.files[root + r"\VC\Auxiliary\Build\Microsoft.VCToolsVersion.default.txt"] = "14.44.35207\r\n"
    compilers = detect(machine=machine).host_compilers
    assert [(c.family, c.version) for c in compilers] == [("msvc", "14.44.35207")]
    assert compilers[0].cxx == root + r"\VC\Tools\MSVC\14.44.35207\bin\Hostx64\x64\cl.exe"


def test_an_embedded_board() -> None:
    files = {
        "/proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0",
        "/proc/device-tree/model": "NVIDIA Jetson AGX Orin\0",
    }
    host = detect(machine=ImitatedMachine(files=files))
    assert [(d.name, d.target, d.integrated) for d in host.devices] == [("NVIDIA Jetson AGX Orin", "sm_87", True)]


def test_an_empty_machine_has_nothing_and_warns_of_nothing() -> None:
    host = detect(machine=ImitatedMachine())
    assert (host.devices, host.drivers, host.toolkits, host.tools, host.warnings) == ((), (), (), (), ())


@pytest.mark.parametrize("value", ["", "none", " None "])
def test_devices_can_be_declared_away(value: str) -> None:
    machine = ImitatedMachine(programs={"/usr/bin/nvidia-smi": printing(SMI)}, environ={"GPUBUILD_DEVICES": value})
    assert detect(machine=machine).devices == ()


def test_declared_devices() -> None:
    host = detect(environ={"PATH": "", "GPUBUILD_DEVICES": "sm_90, gfx90a:xnack-,gfx1151,sm_121a"})
    assert [(d.vendor, d.target, d.compute_capability, d.integrated) for d in host.devices] == [
        ("nvidia", "sm_90", "9.0", None),
        ("amd", "gfx90a:xnack-", None, False),
        ("amd", "gfx1151", None, True),
        ("nvidia", "sm_121a", "12.1", None),
    ]
    assert {device.source for device in host.devices} == {"environment"}


def test_a_misspelt_declaration_is_explained() -> None:
    with pytest.raises(UnknownNameError) as caught:
        detect(environ={"PATH": "", "GPUBUILD_DEVICES": "sm_90,gfx1302"})
    assert "gfx1032" in caught.value.hint
    with pytest.raises(InvalidInputError):
        detect(environ={"PATH": "", "GPUBUILD_DEVICES": "sm_90,,gfx1032"})


def test_replay_explains_bad_recordings(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        detect({"nvidia-smi": tmp_path})
    assert "nvidia-smi-q" in caught.value.hint
    with pytest.raises(InvalidInputError, match="cannot be read"):
        detect({"rocminfo": tmp_path / "absent.txt"})
    with pytest.raises(InvalidInputError, match="directory"):
        detect({"rocminfo": tmp_path})
    junk = tmp_path / "junk.bin"
    junk.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(InvalidInputError, match="binary"):
        detect({"rocminfo": junk})
    with pytest.raises(InvalidInputError, match="not a directory"):
        detect({"kfd": junk})
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate((32 << 20) + 1)
    with pytest.raises(InvalidInputError, match="larger"):
        detect({"nvidia-smi-q": huge})


def test_replay_reads_what_powershell_writes(tmp_path: Path) -> None:
    recording = tmp_path / "smi.csv"
    recording.write_bytes(b"\xff\xfe" + SMI.replace("\n", "\r\n").encode("utf-16-le"))
    host = detect({"nvidia-smi-query": recording}, {"PATH": "", "GPUBUILD_DEVICES": "gfx900"})
    assert [device.target for device in host.devices] == ["sm_89"]
    assert any("GPUBUILD_DEVICES" in text for text in host.warnings)


def test_two_recordings_of_one_host_are_merged(tmp_path: Path) -> None:
    (tmp_path / "table.txt").write_text(
        "| NVIDIA-SMI 580.95.05   Driver Version: 580.95.05   CUDA Version: 13.0 |\n"
        "|   0  NVIDIA GeForce RTX 4090 ...    Off |   00000000:01:00.0  On |        Off |\n"
        "| 30%   45C    P8    20W / 450W |   100MiB / 24564MiB |  0%  Default |\n",
        encoding="utf-8",
    )
    (tmp_path / "query.csv").write_text(SMI, encoding="utf-8")
    host = detect(
        {"nvidia-smi-table": tmp_path / "table.txt", "nvidia-smi-query": tmp_path / "query.csv"}, {"PATH": ""}
    )
    assert [(d.name, d.target, d.source) for d in host.devices] == [
        ("NVIDIA GeForce RTX 4090", "sm_89", "nvidia-smi-table")
    ]
    assert (host.drivers[0].version, host.drivers[0].cuda) == ("580.95.05", "13.0")
