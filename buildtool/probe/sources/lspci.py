"""``lspci`` with any of its options: what sits on the bus, whether or not a driver serves it."""

from __future__ import annotations

import re

import msgspec

from buildtool.probe.messages import explain, find_trouble
from buildtool.probe.model import Vendor
from buildtool.probe.sighting import VENDOR_IDS, Report, Sighting, bounded_lines, hex_id, normalise_pci

_CLASSES = "VGA compatible controller|3D controller|Display controller|Processing accelerators"
_LINE = re.compile(
    r"(?:.{0,60}\s)?((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) "
    rf"(?:{_CLASSES})(?: \[([0-9a-f]{{4}})\])?: (.{{1,400}})"
)
_ANY = re.compile(r"(?:.{0,60}\s)?(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] [A-Z3]")
_IDS = re.compile(r" \[([0-9a-f]{4}):([0-9a-f]{4})\]")
_TAIL = re.compile(r" \((?:rev ([0-9a-f]{2})|prog-if [^)]*)\)")
_VENDORS: tuple[tuple[re.Pattern[str], Vendor], ...] = (
    (re.compile(r"NVIDIA Corporation ", re.IGNORECASE), "nvidia"),
    (re.compile(r"(?:Advanced Micro Devices,? Inc\.?|ATI Technologies Inc\.?)(?: \[AMD(?:/ATI)?\])? "), "amd"),
    (re.compile(r"Intel Corporation "), "intel"),
)
_DRIVER = re.compile(r"\s*Kernel driver in use: ([\w-]{1,40})\s*")
ASLEEP = "ff"


def parse(text: str) -> Report:
    """Read GPU lines and the driver lines under them; other vendors' display chips are no GPUs to compute on."""
    devices: list[Sighting] = []
    current = False
    listing = False
    for line in bounded_lines(text):
        match = _LINE.fullmatch(line)
        device = _device(match[1], match[2], match[3]) if match else None
        driver = _DRIVER.fullmatch(line)
        if device is not None:
            devices.append(device)
        elif driver is not None and current:
            devices[-1] = msgspec.structs.replace(devices[-1], kernel_driver=driver[1])
        if _ANY.match(line):
            listing, current = True, device is not None
    trouble = None if devices or listing else find_trouble(text) or explain(text)
    return Report(devices=tuple(devices), trouble=trouble)


def _device(address: str, pci_class: str | None, rest: str) -> Sighting | None:
    ids = _IDS.search(rest)
    revision = next((tail[1] for tail in _TAIL.finditer(rest) if tail[1]), None)
    text = _TAIL.sub("", _IDS.sub("", rest)).strip() + " "
    vendor = VENDOR_IDS.get(int(ids[1], 16)) if ids else None
    for pattern, name in _VENDORS:
        start = pattern.match(text)
        if start is not None:
            vendor, text = name, text[start.end() :]
            break
    if vendor is None:
        return None
    product = re.fullmatch(r"(.*?) ?\[(.+)\]", text.strip())
    pci = normalise_pci(address)
    return Sighting(
        vendor=vendor,
        name=(product[2] if product else text.strip()) or None,
        chip=(product[1] if product else text.strip()) or None,
        pci=pci,
        pci_class=pci_class,
        device_id=hex_id(ids[2]) if ids else None,
        powered_off=revision == ASLEEP,
        # Intel's own graphics sit on bus 0; its cards are behind a bridge.
        integrated=True if vendor == "intel" and pci is not None and pci.startswith("0000:00:") else None,
    )
