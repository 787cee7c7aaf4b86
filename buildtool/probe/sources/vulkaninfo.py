"""``vulkaninfo --summary``: what the Vulkan loader offers, on every system and vendor."""

from __future__ import annotations

import re

from buildtool.probe.messages import explain
from buildtool.probe.model import Vendor
from buildtool.probe.sighting import VENDOR_IDS, Report, Sighting, bounded_lines, dotted, hex_id, stated

_START = re.compile(r"\s*GPU(\d{1,3}):\s*", re.ASCII)
_PAIR = re.compile(r"\s+(\w+)\s+= (.*)")
_INSTANCE = re.compile(r"Vulkan Instance Version: ([\d.]+)")
_TYPES = {"PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU": True, "PHYSICAL_DEVICE_TYPE_DISCRETE_GPU": False}
_DRIVERS: tuple[tuple[str, Vendor], ...] = (
    ("radv", "amd"),
    ("amd", "amd"),
    ("nvidia", "nvidia"),
    ("nvk", "nvidia"),
    ("intel", "intel"),
)


def parse(text: str) -> Report:
    """Read the device blocks; software rasterisers (type CPU) are not devices."""
    blocks: list[tuple[int, dict[str, str]]] = []
    instance: str | None = None
    for line in bounded_lines(text):
        start, pair, head = _START.fullmatch(line), _PAIR.fullmatch(line), _INSTANCE.match(line)
        if head is not None:
            instance = dotted(head[1])
        if start is not None:
            blocks.append((int(start[1]), {}))
        elif pair is not None and blocks:
            blocks[-1][1].setdefault(pair[1], pair[2])
    devices = tuple(
        _device(index, block, vendor)
        for index, block in blocks
        if block.get("deviceType") in _TYPES and (vendor := _vendor(block)) is not None
    )
    known = bool(devices) or any("deviceType" in block for _, block in blocks)
    return Report(devices=devices, instance_version=instance, trouble=None if known else explain(text))


def _vendor(block: dict[str, str]) -> Vendor | None:
    number = re.fullmatch(r"0x([0-9a-f]{1,8})", block.get("vendorID", ""))
    if number is not None:
        return VENDOR_IDS.get(int(number[1], 16))
    driver = block.get("driverName", "").lower()
    return next((vendor for prefix, vendor in _DRIVERS if driver.startswith(prefix)), None)


def _device(index: int, block: dict[str, str], vendor: Vendor) -> Sighting:
    return Sighting(
        vendor=vendor,
        name=stated(block.get("deviceName")),
        device_id=hex_id(block.get("deviceID")),
        index=index,
        integrated=_TYPES[block["deviceType"]],
        api_version=dotted(block.get("apiVersion")),
        driver=stated(block.get("driverInfo")),
    )
