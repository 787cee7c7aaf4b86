"""PCI devices in Linux's sysfs: the last resort that needs no program and no driver."""

from __future__ import annotations

import re

from buildtool.probe.machine import Machine, basename, join
from buildtool.probe.sighting import (
    MIB,
    VENDOR_IDS,
    Report,
    Sighting,
    hex_id,
    normalise_pci,
    plausible_mib,
    whole_number,
)

DEVICES = "/sys/bus/pci/devices"
# PCI class codes 03xxxx (display) and 1200xx (processing accelerator): PCI Code and ID Assignment Specification.
GPU_CLASS = re.compile(r"0x(03[0-9a-f]{2}|1200)[0-9a-f]{2}")


def collect(machine: Machine) -> Report | None:
    """Read vendor, device, class, driver and (amdgpu) memory of every GPU on the bus; None without sysfs."""
    names = machine.list_dir(DEVICES)
    if not names:
        return None
    found = (_device(machine, name) for name in names)
    return Report(devices=tuple(device for device in found if device is not None))


def _device(machine: Machine, name: str) -> Sighting | None:
    folder = join(machine, DEVICES, name)

    def number(file: str) -> int | None:
        match = re.fullmatch(r"0x([0-9a-f]{1,8})", (machine.read_text(join(machine, folder, file)) or "").strip())
        return int(match[1], 16) if match else None

    kind = GPU_CLASS.fullmatch((machine.read_text(join(machine, folder, "class")) or "").strip())
    vendor = VENDOR_IDS.get(number("vendor") or 0) if kind else None
    if kind is None or vendor is None or (vendor == "intel" and kind[1] == "1200"):
        return None
    driver = join(machine, folder, "driver")
    size = whole_number(machine.read_text(join(machine, folder, "mem_info_vram_total")))
    pci = normalise_pci(name)
    return Sighting(
        vendor=vendor,
        pci=pci,
        pci_class=kind[1],
        device_id=hex_id(number("device") or 0),
        vram_mib=plausible_mib(size // MIB) if size else None,
        kernel_driver=basename(machine, machine.real_path(driver)) if machine.exists(driver) else None,
        integrated=True if vendor == "intel" and name.startswith("0000:00:") else None,
    )
