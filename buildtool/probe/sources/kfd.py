"""The KFD topology in sysfs: AMD's kernel interface, there without any ROCm installed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from buildtool.probe.machine import Machine, join
from buildtool.probe.sighting import (
    MIB,
    VENDOR_IDS,
    Report,
    Sighting,
    Trouble,
    hex_id,
    pci_from_bdf,
    plausible_mib,
    whole_number,
)

TOPOLOGY = "/sys/class/kfd/kfd/topology/nodes"
PUBLIC_VRAM, PRIVATE_VRAM = 1, 2  # HSA_HEAPTYPE_FRAME_BUFFER_*, ROCT-Thunk-Interface hsakmttypes.h


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one topology node, as text."""

    number: int
    properties: str
    banks: tuple[str, ...] = ()


def read_nodes(machine: Machine, root: str = TOPOLOGY) -> tuple[Node, ...]:
    """Read the node directories under `root` in numerical order.

    Directory and file layout: Linux kernel, ``drivers/gpu/drm/amd/amdkfd/kfd_topology.c``.
    """
    nodes: list[Node] = []
    for name in sorted(filter(_is_number, machine.list_dir(root)), key=int):
        properties = machine.read_text(join(machine, root, name, "properties"))
        if properties is None:
            continue
        banks = join(machine, root, name, "mem_banks")
        texts = (machine.read_text(join(machine, banks, bank, "properties")) for bank in machine.list_dir(banks))
        nodes.append(
            Node(number=int(name), properties=properties, banks=tuple(text for text in texts if text is not None))
        )
    return tuple(nodes)


def collect(machine: Machine) -> Report | None:
    """Read this machine's topology; None where the amdgpu driver does not offer one."""
    nodes = read_nodes(machine)
    return parse(nodes) if nodes else None


def parse(nodes: Sequence[Node]) -> Report:
    """Turn topology nodes into devices; nodes without SIMDs are CPUs."""
    found = [(node, values) for node in nodes if (values := _properties(node.properties)).get("simd_count")]
    devices = tuple(_device(node, values, index) for index, (node, values) in enumerate(found))
    trouble = None if devices else Trouble(kind="no-devices", line=f"{len(nodes)} KFD nodes, no GPU among them")
    return Report(devices=devices, driver_name="amdgpu", trouble=trouble)


def processor_name(version: int) -> str | None:
    """Name the processor of a ``gfx_target_version`` (major * 10000 + minor * 100 + stepping).

    rocm-bootstrap, AMD's own table, knows the released ones; the arithmetic (minor and stepping are one
    hexadecimal digit each, LLVM AMDGPUUsage) serves those it does not list and systems it is not made for.
    """
    major, minor, stepping = version // 10000, version // 100 % 100, version % 100
    if not (6 <= major <= 99 and minor < 16 and stepping < 16):  # noqa: PLR2004 - gfx6xx is the oldest
        return None
    try:
        from rocm_bootstrap.targets import parse_gfx_target_version

        return str(parse_gfx_target_version(version).name)
    except (ImportError, ValueError):
        return f"gfx{major}{minor:x}{stepping:x}"


def _is_number(name: str) -> bool:
    return re.fullmatch(r"\d{1,5}", name, re.ASCII) is not None


def _properties(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines()[:1000])
    numbers = ((pair[0], whole_number(pair[1])) for pair in pairs if len(pair) == 2)  # noqa: PLR2004 - key, value
    return {key: value for key, value in numbers if value is not None}


def _device(node: Node, values: dict[str, int], index: int) -> Sighting:
    location = values.get("location_id", 0)
    banks = [_properties(bank) for bank in node.banks]
    vram = sum(bank.get("size_in_bytes", 0) for bank in banks if bank.get("heap_type") in {PUBLIC_VRAM, PRIVATE_VRAM})
    return Sighting(
        vendor=VENDOR_IDS.get(values.get("vendor_id", 0), "amd"),
        arch=processor_name(values.get("gfx_target_version", 0)),
        vram_mib=plausible_mib(vram // MIB),
        pci=pci_from_bdf(location, values.get("domain", 0)) if location else None,
        device_id=hex_id(values.get("device_id", 0)),
        index=index,
        node=node.number,
        simd_count=values.get("simd_count"),
        render_minor=values.get("drm_render_minor") or None,
        integrated=True if values.get("cpu_cores_count") else None,
        uuid=f"{values['unique_id']:016x}" if values.get("unique_id") else None,
    )
