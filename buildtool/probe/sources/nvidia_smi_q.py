"""``nvidia-smi -q``: the indented text form."""

from __future__ import annotations

import re

from buildtool.probe.messages import explain
from buildtool.probe.sighting import (
    MigSlice,
    Report,
    Sighting,
    bounded_lines,
    dotted,
    hex_id,
    mib,
    normalise_pci,
    stated,
    whole_number,
)

_GPU = re.compile(r"GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*")
_PAIR = re.compile(r"( *)(\S.*?)\s+: ?(.*)")

Facts = list[tuple[tuple[str, ...], str]]


def parse(text: str) -> Report:
    """Read the text form; sections are known by their indentation."""
    top, gpus = _sections(bounded_lines(text))
    values = {path[-1]: value for path, value in top}
    driver = dotted(values.get("Driver Version")) or dotted(values.get("KMD Version"))
    devices = tuple(_device(pci, facts, index, driver) for index, (pci, facts) in enumerate(gpus))
    attached = whole_number(values.get("Attached GPUs"))
    return Report(
        devices=devices,
        driver_version=driver,
        cuda_version=dotted(values.get("CUDA Version")) or dotted(values.get("CUDA UMD Version")),
        attached=attached,
        trouble=None if devices else explain(text),
        partial=bool(devices) and attached is not None and attached != len(devices),
    )


def _sections(lines: list[str]) -> tuple[Facts, list[tuple[str, Facts]]]:
    top: Facts = []
    gpus: list[tuple[str, Facts]] = []
    stack: list[tuple[int, str]] = []
    for line in lines:
        start = _GPU.fullmatch(line)
        if start is not None:
            gpus.append((start[1], []))
            stack = []
            continue
        pair = _PAIR.fullmatch(line)
        indent = len(line) - len(line.lstrip(" "))
        while stack and stack[-1][0] >= indent:
            stack.pop()
        if pair is None:
            if line.strip() and len(stack) < 8:  # noqa: PLR2004 - deeper than any real output
                stack.append((indent, line.strip()))
            continue
        path = (*(name for _, name in stack), pair[2])
        (gpus[-1][1] if gpus else top).append((path, pair[3].strip()))
    return top, gpus


def _device(pci: str, facts: Facts, index: int, driver: str | None) -> Sighting:
    values: dict[tuple[str, ...], str] = {}
    for path, value in facts:
        values.setdefault(path, value)
    packed = re.fullmatch(r"0x([0-9A-Fa-f]{4})10DE", values.get(("PCI", "Device Id"), ""), re.IGNORECASE)
    return Sighting(
        vendor="nvidia",
        name=stated(values.get(("Product Name",))),
        architecture=stated(values.get(("Product Architecture",))),
        vram_mib=mib(values.get(("FB Memory Usage", "Total"))),
        pci=normalise_pci(pci),
        device_id=hex_id(packed[1]) if packed else None,
        index=index,
        mig_mode=stated(values.get(("MIG Mode", "Current"))),
        mig=_slices(facts),
        driver_model=stated(values.get(("Driver Model", "Current"))),
        uuid=stated(values.get(("GPU UUID",))),
        driver=driver,
    )


def _slices(facts: Facts) -> tuple[MigSlice, ...]:
    slices: list[MigSlice] = []
    for path, value in facts:
        number = whole_number(value)
        if path == ("MIG Device", "Index") and number is not None:
            slices.append(MigSlice(index=number))
        elif slices and path == ("MIG Device", "GPU Instance ID"):
            slices[-1] = MigSlice(index=slices[-1].index, gi=number)
        elif slices and path == ("MIG Device", "Shared FB Memory Usage", "Total"):
            slices[-1] = MigSlice(index=slices[-1].index, gi=slices[-1].gi, vram_mib=mib(value))
    return tuple(slices)
