"""Every fact that ``shared/captures/index.toml`` expects is reported, and nothing beside it."""

from __future__ import annotations

from typing import Any

import pytest
from probe_captures import ROOT, gpu_captures, index, report  # type: ignore[import-not-found]

from buildtool.probe import detect
from buildtool.probe.model import Device
from buildtool.probe.sighting import Report, Sighting, normalise_pci
from buildtool.probe.toolkits import parse_hipconfig, parse_nvcc

pytestmark = pytest.mark.skipif(not index(), reason="shared/captures is not beside this checkout")
GPU = gpu_captures()
IDS = [row["path"] for row in GPU]
NO_GPU_ENVIRONMENT = {"PATH": ""}

# Index names that differ from the field of the same fact.
RENAMED = {"chip_id": "device_id", "pci_device_id": "device_id"}
# Facts that only the index needs to describe a recording.
FLAGS = ("vram_suspect", "name_truncated", "err", "powered_off", "excluded")


def seen(sighting: Sighting, expected: dict[str, Any], key: str) -> object:  # noqa: PLR0911 - one per spelling
    """Return what was reported for the index's `key`, in the index's spelling."""
    field = RENAMED.get(key, key)
    if key == "usable":
        return not sighting.excluded
    if key == "vram_gib":
        assert sighting.vram_mib is not None
        return pytest.approx(sighting.vram_mib / 1024, abs=0.0006)
    if key == "arch" and expected["vendor"] == "nvidia":
        return sighting.compute_capability
    if key == "pci":
        assert normalise_pci(expected["pci"]) == sighting.pci
        return expected["pci"]
    if key == "pci_bus":
        return int((sighting.pci or "").split(":")[1], 16)
    if key == "pci_device_id":
        return f"{(sighting.device_id or '')[2:].upper()}10DE"
    if key == "device_id" and ":" in expected["device_id"]:
        return (
            {"nvidia": "10de", "amd": "1002", "intel": "8086"}[sighting.vendor] + ":" + (sighting.device_id or "")[2:]
        )
    if key == "mig":
        return [{"index": part.index, "vram_mib": part.vram_mib} for part in sighting.mig]
    return getattr(sighting, field)


@pytest.mark.parametrize("row", GPU, ids=IDS)
def test_devices(row: dict[str, Any]) -> None:
    found = report(row)
    expected = row["expect"].get("devices", [])
    assert len(found.devices) == len(expected)
    for sighting, facts in zip(found.devices, expected, strict=True):
        for key, value in facts.items():
            if (row["path"], key) in DERIVED or value == "[REDACTED]":
                continue
            assert seen(sighting, facts, key) == value, key


# Facts that do not stand in the text: they follow from the chip and are found on the completed device.
DERIVED = {
    ("amd-smi-text/phoenix3-static.txt", "integrated"),
    ("kfd/strix-halo", "integrated"),
}


@pytest.mark.parametrize("row", GPU, ids=IDS)
def test_nothing_is_invented(row: dict[str, Any]) -> None:
    found = report(row)
    assert (found.trouble is not None) == ("error" in row["expect"] or row["expect"].get("partial", False))
    for sighting, facts in zip(found.devices, row["expect"].get("devices", []), strict=True):
        for flag in FLAGS:
            assert getattr(sighting, flag) == facts.get(flag, False), flag
        for key in ("vram_mib", "arch", "features"):
            absent = key not in facts and not (key == "vram_mib" and "vram_gib" in facts)
            assert not absent or getattr(sighting, key) is None, key
        if "pci" not in facts and "pci_bus" not in facts:
            assert sighting.pci is None
        if "name" not in facts:
            assert sighting.name is None
        if row["tool"].startswith("nvidia-smi"):
            assert [part.vram_mib for part in sighting.mig] == [
                part["vram_mib"] for part in (facts.get("mig") or row["expect"].get("mig") or [])
            ]


@pytest.mark.parametrize("row", GPU, ids=IDS)
def test_facts_beside_the_devices(row: dict[str, Any]) -> None:
    found, expected = report(row), row["expect"]
    for key, field in {
        "driver_version": "driver_version",
        "cuda_version": "cuda_version",
        "smi_version": "tool_version",
        "attached_gpus": "attached",
        "instance_version": "instance_version",
        "open_module": "open_module",
        "partial": "partial",
    }.items():
        value = getattr(found, field)
        if key in expected:
            assert value == expected[key], key
        elif key not in {"partial", "attached_gpus"}:
            assert value is None, key
        elif key == "partial":
            assert value is False


@pytest.mark.parametrize("row", [row for row in GPU if "error" in row["expect"]], ids=lambda row: row["path"])
def test_errors_are_known(row: dict[str, Any]) -> None:
    trouble, expected = report(row).trouble, row["expect"]
    assert trouble is not None
    assert trouble.kind == expected["error"]
    if "exit_code" in expected:
        assert trouble.code == expected["exit_code"]
    if "hip_error" in expected:
        assert trouble.code == expected["hip_error"]
    if "pci" in expected:
        assert trouble.pci == normalise_pci(expected["pci"])
    if "field" in expected:
        assert trouble.subject == expected["field"]
    if "nvml_version" in expected:
        assert trouble.library_version == expected["nvml_version"]


def test_the_crash_of_hipinfo_is_told_with_its_code() -> None:
    row = next(row for row in GPU if row["path"] == "hipinfo/crash-after-peers.txt")
    trouble = report(row).trouble
    assert trouble is not None
    assert (trouble.kind, trouble.code) == ("crashed", row["expect"]["exit_code"])


def test_mig_slices_of_the_table_belong_to_their_gpu() -> None:
    row = next(row for row in GPU if row["path"].startswith("nvidia-smi-table/exporter-linux-h100-mig"))
    found: Report = report(row)
    slices = [
        {"gpu": device.index, "gi": part.gi, "index": part.index, "vram_mib": part.vram_mib}
        for device in found.devices
        for part in device.mig
    ]
    assert slices == row["expect"]["mig"]


@pytest.mark.parametrize("row", GPU, ids=IDS)
def test_detect_on_every_recording(row: dict[str, Any]) -> None:
    host = detect({row["tool"]: ROOT / row["path"]}, NO_GPU_ENVIRONMENT)
    expected = row["expect"].get("devices", [])
    assert len(host.devices) == len(expected)
    assert bool(host.warnings) or "error" not in row["expect"]
    for device, facts in zip(host.devices, expected, strict=True):
        check_device(device, facts)
    if "driver_version" in row["expect"]:
        assert [driver.version for driver in host.drivers] == [row["expect"]["driver_version"]]


def check_device(device: Device, facts: dict[str, Any]) -> None:
    assert device.vendor == facts["vendor"]
    if "arch" in facts and facts["vendor"] == "nvidia":
        assert device.target == "sm_" + facts["arch"].replace(".", "")
    elif "arch" in facts:
        features = f":{facts['features']}" if "features" in facts else ""
        assert device.target == facts["arch"] + features
    if facts.get("vram_suspect"):
        assert device.vram_mib is None
    elif "vram_mib" in facts:
        assert device.vram_mib == facts["vram_mib"]
    if "integrated" in facts:
        assert device.integrated == facts["integrated"]
    assert device.usable == facts.get("usable", True)


@pytest.mark.parametrize("row", [row for row in index() if row["tool"] == "nvcc-version"], ids=lambda row: row["path"])
def test_nvcc(row: dict[str, Any]) -> None:
    nvcc = parse_nvcc((ROOT / row["path"]).read_text(encoding="utf-8"))
    if "error" in row["expect"]:
        assert nvcc is None
    else:
        assert nvcc is not None
        assert (nvcc.release, nvcc.version) == (row["expect"]["cuda_release"], row["expect"]["cuda_version"])


@pytest.mark.parametrize("row", [row for row in index() if row["tool"] == "hipconfig"], ids=lambda row: row["path"])
def test_hipconfig(row: dict[str, Any]) -> None:
    config = parse_hipconfig((ROOT / row["path"]).read_text(encoding="utf-8"))
    assert config is not None
    assert {key: getattr(config, key) for key in row["expect"]} == row["expect"]


def test_targets_that_are_not_printed_come_from_the_chip() -> None:
    """rocm-smi before 6.1 prints no target; the device id knows it."""
    targets = {
        row["path"]: [device.target for device in detect({row["tool"]: ROOT / row["path"]}, NO_GPU_ENVIRONMENT).devices]
        for row in GPU
        if row["tool"] in {"rocm-smi-json", "nvidia-smi-xml", "lspci", "vulkaninfo-summary"}
    }
    assert targets["rocm-smi-json/telegraf-rx6700xt_rocm430.json"] == ["gfx1031"]
    assert targets["rocm-smi-json/telegraf-vega-10-XT.json"] == ["gfx900"]
    assert targets["nvidia-smi-xml/telegraf-tesla-t4.xml"] == ["sm_75"]
    assert targets["nvidia-smi-xml/telegraf-pro-6000-maxq-blackwell-v13.xml"] == ["sm_120"]
    assert targets["lspci/rtx3070-iommu-groups.txt"] == ["sm_86"]
    assert targets["lspci/g210-nouveau.txt"] == [None]
    assert targets["lspci/vega20-x8-full-no-nn.txt"] == ["gfx906"] * 8
    assert targets["vulkaninfo-summary/windows-raphael-plus-rtx3070.txt"] == ["gfx1036", "sm_86"]


def test_an_override_is_noticed() -> None:
    host = detect({"rocminfo": ROOT / "rocminfo/rx6700xt-hsa-override-gfx1030.txt"}, NO_GPU_ENVIRONMENT)
    assert host.devices[0].target == "gfx1030"
    assert any("HSA_OVERRIDE_GFX_VERSION" in text and "gfx1031" in text for text in host.warnings)
