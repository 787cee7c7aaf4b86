"""The table that plain ``nvidia-smi`` prints: what people paste into threads."""

from __future__ import annotations

import re

import msgspec

from buildtool.probe.messages import explain
from buildtool.probe.sighting import MigSlice, Report, Sighting, bounded_lines, dotted, mib, normalise_pci, whole_number

_VERSIONS = {
    "tool": re.compile(r"NVIDIA-SMI +(\d[\d.]*)"),
    "driver": re.compile(r"(?:Driver|KMD) Version: +(\d[\d.]*)"),
    "cuda": re.compile(r"CUDA (?:UMD )?Version: +(\d[\d.]*)"),
}
_FIRST = re.compile(r" *(\d{1,3}) +(\S.*?) +(?:On|Off|N/A|Enabled|Disabled|WDDM|TCC|MCDM) *")
_MEMORY = re.compile(r"\d+ ?MiB */ *(\d+ ?MiB)")
_MIG = re.compile(r" *(\d{1,3}) +(\d{1,3}) +(\d{1,3}) +(\d{1,3}) *")


def parse(text: str) -> Report:
    """Read the table; the first line of a row names the GPU, the second holds its memory and sensors."""
    lines = bounded_lines(text)
    found = {key: next((m[1] for m in map(rule.search, lines) if m), None) for key, rule in _VERSIONS.items()}
    driver = dotted(found["driver"])
    devices = _slices_into(lines, _devices(lines, driver))
    return Report(
        devices=devices,
        driver_version=driver,
        cuda_version=dotted(found["cuda"]),
        tool_version=dotted(found["tool"]),
        trouble=None if devices else explain(text),
    )


def _devices(lines: list[str], driver: str | None) -> list[Sighting]:
    devices: list[Sighting] = []
    fresh = False
    for line in lines:
        if "Processes:" in line or "MIG devices:" in line:
            break
        cells = line.split("|")[1:-1]
        first = _FIRST.fullmatch(cells[0]) if len(cells) == 3 else None  # noqa: PLR2004 - the table's columns
        pci = normalise_pci(cells[1].split()[0]) if first and cells[1].split() else None
        if first and pci:
            name = first[2]
            devices.append(
                Sighting(
                    vendor="nvidia",
                    name=name,
                    name_truncated=name.endswith("..."),
                    pci=pci,
                    index=int(first[1]),
                    driver=driver,
                )
            )
            fresh = True
        elif fresh and len(cells) == 3:  # noqa: PLR2004 - the table's columns
            memory = _MEMORY.search(cells[1])
            devices[-1] = msgspec.structs.replace(
                devices[-1], vram_mib=mib(memory[1]) if memory else None, err="ERR!" in line
            )
            fresh = False
    return devices


def _slices_into(lines: list[str], devices: list[Sighting]) -> tuple[Sighting, ...]:
    start = next((number for number, line in enumerate(lines) if "MIG devices:" in line), len(lines))
    slices: dict[int, list[MigSlice]] = {}
    for line in lines[start:]:
        if "Processes:" in line:
            break
        cells = line.split("|")[1:-1]
        row = _MIG.fullmatch(cells[0]) if len(cells) > 1 else None
        memory = _MEMORY.search(cells[1]) if row else None
        if row and memory:
            part = MigSlice(index=int(row[4]), gi=whole_number(row[2]), vram_mib=mib(memory[1]))
            slices.setdefault(int(row[1]), []).append(part)
    return tuple(msgspec.structs.replace(device, mig=tuple(slices.get(device.index or 0, ()))) for device in devices)
