"""NVML, NVIDIA's management library, through nvidia-ml-py in a process of its own."""

from __future__ import annotations

import msgspec

from buildtool.probe.messages import explain
from buildtool.probe.sighting import (
    MIB,
    MigSlice,
    Report,
    Sighting,
    dotted,
    hex_id,
    normalise_pci,
    plausible_mib,
    stated,
)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A MIG slice as the child reports it; `memory` in bytes."""

    index: int
    memory: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One device as the child reports it; `memory` in bytes."""

    index: int
    name: str | None = None
    uuid: str | None = None
    compute_capability: tuple[int, int] | None = None
    memory: int | None = None
    pci: str | None = None
    pci_device_id: int | None = None
    mig: int | None = None
    slices: tuple[Slice, ...] = ()


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """All the child reports."""

    driver: str | None = None
    cuda: str | None = None
    devices: tuple[Answer, ...] = ()
    error: str | None = None


def parse(text: str) -> Report:
    """Read the JSON of `buildtool.probe.nvml_child`."""
    try:
        answers = msgspec.json.decode(text, type=Answers)
    except (msgspec.DecodeError, RecursionError):
        return Report(trouble=explain(text))
    devices = tuple(_device(answer, dotted(answers.driver)) for answer in answers.devices)
    return Report(
        devices=devices,
        driver_name="nvidia",
        driver_version=dotted(answers.driver),
        cuda_version=dotted(answers.cuda),
        trouble=None if devices else explain(answers.error or "No devices were found"),
    )


def _device(answer: Answer, driver: str | None) -> Sighting:
    packed = answer.pci_device_id or 0
    capability = answer.compute_capability
    return Sighting(
        vendor="nvidia",
        name=stated(answer.name),
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        vram_mib=plausible_mib((answer.memory or 0) // MIB),
        pci=normalise_pci(answer.pci),
        device_id=hex_id(packed >> 16) if packed & 0xFFFF == 0x10DE else None,  # noqa: PLR2004 - NVIDIA's id
        index=answer.index,
        mig_mode={0: "Disabled", 1: "Enabled"}.get(-1 if answer.mig is None else answer.mig),
        mig=tuple(MigSlice(index=part.index, vram_mib=plausible_mib(part.memory // MIB)) for part in answer.slices),
        uuid=stated(answer.uuid),
        driver=driver,
    )
