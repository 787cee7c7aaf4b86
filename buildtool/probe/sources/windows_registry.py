"""Display adapters in the Windows registry: there without any SDK, and quick to read."""

from __future__ import annotations

import re

from buildtool.probe.machine import Machine, join
from buildtool.probe.messages import explain
from buildtool.probe.sighting import MIB, VENDOR_IDS, Report, Sighting, bounded_lines, hex_id, plausible_mib, stated

# Device class of display adapters: learn.microsoft.com, "System-Defined Device Setup Classes Available to Vendors".
CLASS = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
TIMEOUT_S = 4.0
_KEY = re.compile(r"HKEY_LOCAL_MACHINE\\.*\\\{4d36e968-e325-11ce-bfc1-08002be10318\}\\(\d{4})\s*", re.IGNORECASE)
_VALUE = re.compile(r"    (\S.*?)    (REG_[A-Z_]+)(?:    (.*))?")
_HARDWARE = re.compile(r"pci\\ven_([0-9a-f]{4})&dev_([0-9a-f]{4})", re.IGNORECASE)


def collect(machine: Machine) -> Report | None:
    """Ask ``reg query``; None on other systems."""
    if machine.system != "windows":
        return None
    reg = join(machine, machine.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "reg.exe")
    output = machine.run((reg, "query", CLASS, "/s"), TIMEOUT_S)
    return parse(output.text) if output is not None else None


def parse(text: str) -> Report:
    """Read ``reg query`` of the display class: one numbered key for each adapter."""
    adapters: list[dict[str, str]] = []
    inside = False
    for line in bounded_lines(text):
        if line.startswith("HKEY_"):
            inside = _KEY.fullmatch(line) is not None
            if inside:
                adapters.append({})
            continue
        value = _VALUE.fullmatch(line) if inside else None
        if value is not None:
            adapters[-1].setdefault(value[1], value[3] or "")
    devices = tuple(device for adapter in adapters if (device := _device(adapter)) is not None)
    return Report(devices=devices, trouble=None if adapters else explain(text))


def _device(adapter: dict[str, str]) -> Sighting | None:
    hardware = _HARDWARE.match(adapter.get("MatchingDeviceId", ""))
    vendor = VENDOR_IDS.get(int(hardware[1], 16)) if hardware else None
    if hardware is None or vendor is None:
        return None
    size = re.fullmatch(r"0x([0-9a-f]{1,12})", adapter.get("HardwareInformation.qwMemorySize", ""))
    version = adapter.get("DriverVersion")
    return Sighting(
        vendor=vendor,
        name=stated(adapter.get("DriverDesc")),
        device_id=hex_id(hardware[2]),
        vram_mib=plausible_mib(int(size[1], 16) // MIB) if size else None,
        driver=_nvidia_version(version) if vendor == "nvidia" else stated(version),
    )


def _nvidia_version(version: str | None) -> str | None:
    """Turn ``32.0.15.8157`` into NVIDIA's own ``581.57``: the last five digits."""
    digits = "".join((version or "").split(".")[-2:])[-5:]
    return f"{digits[:3]}.{digits[3:]}" if re.fullmatch(r"\d{5}", digits, re.ASCII) else stated(version)
