"""``rocminfo``: the agents that ROCr (HSA) sees."""

from __future__ import annotations

import re

from buildtool.probe.messages import explain, find_trouble
from buildtool.probe.sighting import (
    Report,
    Sighting,
    Trouble,
    bounded_lines,
    hex_id,
    pci_from_bdf,
    plausible_mib,
    split_target,
    stated,
    whole_number,
)

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")
_AGENT = re.compile(r"Agent \d{1,4}\s*")
_PAIR = re.compile(r"\s*(\S[^:]*):\s+(\S.*)")
_KB = re.compile(r"(\d{1,15})\(0x[0-9a-f]+\) KB", re.ASCII)
_ISA = re.compile(r"amdgcn-amd-amdhsa--(gfx\S+)")

Pairs = list[tuple[str, str]]


def parse(text: str) -> Report:
    """Read the agent list; only agents of type GPU are devices (CPUs and NPUs are agents too)."""
    agents: list[Pairs] = []
    for line in bounded_lines(_COLOUR.sub("", text)):
        if _AGENT.fullmatch(line):
            agents.append([])
            continue
        pair = _PAIR.fullmatch(line)
        if pair is not None and agents:
            agents[-1].append((pair[1], pair[2]))
    gpus = [agent for agent in agents if ("Device Type", "GPU") in agent]
    devices = tuple(_device(agent, index) for index, agent in enumerate(gpus))
    trouble = find_trouble(text)
    if not devices and trouble is None:
        none = Trouble(kind="no-devices", line=f"{len(agents)} agents, no GPU among them")
        trouble = none if agents else explain(text)
    return Report(
        devices=devices,
        trouble=trouble,
        partial=bool(devices) and trouble is not None,
    )


def _device(agent: Pairs, index: int) -> Sighting:
    first: dict[str, str] = {}
    for key, value in agent:
        first.setdefault(key, value)
    isa = next((match for key, value in agent if key == "Name" and (match := _ISA.fullmatch(value))), None)
    arch, features = split_target(isa[1] if isa else None)
    chip = re.match(r"(\d{1,9})\(", first.get("Chip ID", ""), re.ASCII)
    bdf = whole_number(first.get("BDFID"))
    return Sighting(
        vendor="amd",
        name=stated(first.get("Marketing Name")),
        arch=split_target(first.get("Name"))[0] or arch,
        features=features,
        vram_mib=_vram(agent),
        pci=pci_from_bdf(bdf) if bdf else None,
        device_id=hex_id(int(chip[1])) if chip else None,
        index=index,
        node=whole_number(first.get("Node")),
        integrated=True if first.get("Memory Properties") == "APU" else None,
        uuid=_unique(first.get("Uuid")),
    )


def _vram(agent: Pairs) -> int | None:
    """Return the largest global pool in MiB: coarse and fine grained pools are views of the same memory."""
    sizes: list[int] = []
    segment = ""
    for key, value in agent:
        if key == "Segment":
            segment = value
        size = _KB.fullmatch(value) if key == "Size" and segment.startswith("GLOBAL") else None
        if size is not None:
            sizes.append(int(size[1]) // 1024)
    return plausible_mib(max(sizes, default=None))


def _unique(uuid: str | None) -> str | None:
    return uuid if uuid is not None and re.fullmatch(r"GPU-[0-9a-f]{8,16}", uuid) else None
