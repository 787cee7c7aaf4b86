"""``/proc/driver/nvidia``: the kernel driver's own files, there even when its libraries are broken."""

from __future__ import annotations

import re

from buildtool.probe.messages import explain
from buildtool.probe.sighting import Report, Sighting, bounded_lines, dotted, normalise_pci, stated

_NVRM = re.compile(r"NVRM version: +NVIDIA UNIX (Open )?.*?Kernel Module.*?  (\d[\d.]*)")
_PAIR = re.compile(r"([A-Z][A-Za-z ]*):\s*(.*)")


def parse(text: str) -> Report:
    """Read ``version`` and any number of ``gpus/*/information`` files, one after the other."""
    version: str | None = None
    is_open: bool | None = None
    blocks: list[dict[str, str]] = []
    for line in bounded_lines(text):
        head = _NVRM.match(line)
        if head is not None:
            version, is_open = dotted(head[2]), head[1] is not None
            continue
        pair = _PAIR.fullmatch(line)
        if pair is None:
            continue
        if pair[1] == "Model":
            blocks.append({})
        if blocks:
            blocks[-1].setdefault(pair[1], pair[2])
    devices = tuple(_device(block, index, version) for index, block in enumerate(blocks))
    return Report(
        devices=devices,
        driver_version=version,
        driver_name=None if is_open is None else "nvidia-open" if is_open else "nvidia",
        open_module=is_open,
        trouble=None if devices or version else explain(text),
    )


def _device(block: dict[str, str], index: int, version: str | None) -> Sighting:
    return Sighting(
        vendor="nvidia",
        name=stated(block.get("Model")),
        pci=normalise_pci(block.get("Bus Location")),
        index=index,
        excluded=block.get("GPU Excluded") == "Yes",
        uuid=stated((block.get("GPU UUID") or "").replace("GPU-????????-????-????-????-????????????", "")),
        driver=version,
    )
