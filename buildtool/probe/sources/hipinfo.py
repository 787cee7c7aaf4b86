"""``hipInfo``: AMD's sample that comes with the HIP SDK, the only such tool on Windows."""

from __future__ import annotations

import re

from buildtool.probe.messages import explain, find_trouble
from buildtool.probe.sighting import (
    Report,
    Sighting,
    bounded_lines,
    pci_from_bdf,
    plausible_mib,
    split_target,
    stated,
    whole_number,
)

_START = re.compile(r"device#\s+(\d{1,3})\s*", re.ASCII)
_PAIR = re.compile(r"([A-Za-z][\w.\- ]*):\s+(\S.*)")
_GIB = re.compile(r"(\d{1,6}\.\d{1,2}) GB", re.ASCII)
# No card with a HIP target has less than 2 GiB; a smaller figure is the known fault of HIP 6.2 on Windows.
SMALLEST_CARD_MIB = 1024


def parse(text: str) -> Report:
    """Read one block per device; a run that stopped with an API error keeps the devices before it."""
    blocks: list[tuple[int, dict[str, str]]] = []
    for line in bounded_lines(text):
        start = _START.fullmatch(line)
        if start is not None:
            blocks.append((int(start[1]), {}))
            continue
        pair = _PAIR.fullmatch(line)
        if pair is not None and blocks:
            blocks[-1][1].setdefault(pair[1], pair[2])
    devices = tuple(_device(index, block) for index, block in blocks if "Name" in block or "gcnArchName" in block)
    trouble = find_trouble(text)
    return Report(
        devices=devices,
        trouble=trouble if devices else trouble or explain(text),
        partial=bool(devices) and trouble is not None,
    )


def _device(index: int, block: dict[str, str]) -> Sighting:
    arch, features = split_target(block.get("gcnArchName"))
    integrated = {"0": False, "1": True}.get(block.get("isIntegrated", ""))
    size = _GIB.fullmatch(block.get("totalGlobalMem", ""))
    vram = plausible_mib(round(float(size[1]) * 1024)) if size else None
    bus, slot, domain = (whole_number(block.get(key)) for key in ("pciBusID", "pciDeviceID", "pciDomainID"))
    fits = bus is not None and slot is not None and bus < 0x100 and slot < 0x20  # noqa: PLR2004 - field widths
    return Sighting(
        vendor="amd",
        name=stated(block.get("Name")),
        arch=arch,
        features=features,
        vram_mib=vram,
        vram_suspect=vram is not None and integrated is False and vram < SMALLEST_CARD_MIB,
        pci=pci_from_bdf((bus or 0) << 8 | (slot or 0) << 3, domain or 0) if fits else None,
        index=index,
        integrated=integrated,
    )
