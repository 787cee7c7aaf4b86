"""``rocm-smi -a --json``: the tool before amd-smi, whose keys changed from release to release."""

from __future__ import annotations

import re

import msgspec

from buildtool.probe.messages import explain
from buildtool.probe.sighting import (
    MIB,
    Report,
    Sighting,
    hex_id,
    normalise_pci,
    plausible_mib,
    split_target,
    stated,
    whole_number,
)

_CARD = re.compile(r"card(\d{1,3})", re.ASCII)
_VERSION = re.compile(r"\d{1,5}\.\d{1,5}[\w.+~-]{0,60}", re.ASCII)


def parse(text: str) -> Report:
    """Read one object per card and the ``system`` object."""
    start = text.find("{")
    try:
        root = msgspec.json.decode(text[start:]) if start >= 0 else None
    except (msgspec.DecodeError, RecursionError):
        return Report(trouble=explain(text))
    if not isinstance(root, dict):
        return Report(trouble=explain(text))
    system = root.get("system")
    version = system.get("Driver version") if isinstance(system, dict) else None
    driver = version if isinstance(version, str) and _VERSION.fullmatch(version) else None
    devices = tuple(
        _device(int(card[1]), values, driver)
        for key, values in root.items()
        if (card := _CARD.fullmatch(key)) and isinstance(values, dict)
    )
    return Report(
        devices=devices,
        driver_name="amdgpu",
        driver_version=driver,
        trouble=None if devices else explain(text),
    )


def _device(index: int, values: dict[str, object], driver: str | None) -> Sighting:
    def first(*keys: str) -> str | None:
        texts = (values.get(key) for key in keys)
        return next((text for text in texts if isinstance(text, str) and stated(text)), None)

    name = first("Device Name", "Card Series", "Card series")
    arch, features = split_target(first("GFX Version"))
    size = whole_number(first("VRAM Total Memory (B)"))
    return Sighting(
        vendor="amd",
        name=None if name is None or name.startswith("0x") else name,
        arch=arch,
        features=features,
        vram_mib=plausible_mib(size // MIB) if size else None,
        pci=normalise_pci(first("PCI Bus")),
        device_id=hex_id(first("Device ID", "GPU ID")),
        index=index,
        driver=driver,
    )
