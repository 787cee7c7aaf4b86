"""NVIDIA's systems on a chip (Jetson, DRIVE), known by their device tree."""

from __future__ import annotations

import re

from buildtool.probe.chips import tegra_chip
from buildtool.probe.machine import Machine
from buildtool.probe.messages import unreadable
from buildtool.probe.sighting import Report, Sighting

COMPATIBLE = "/proc/device-tree/compatible"
MODEL = "/proc/device-tree/model"


def collect(machine: Machine) -> Report | None:
    """Read the device tree; None on machines that have none or no NVIDIA chip."""
    text = machine.read_text(COMPATIBLE)
    if text is None or "nvidia,tegra" not in text:
        return None
    return parse(text, (machine.read_text(MODEL) or "").strip("\0 \n"))


def parse(text: str, model: str = "") -> Report:
    """Read the NUL-separated names of ``compatible``, such as ``nvidia,tegra234``."""
    for name in re.split(r"[\0\s]+", text):
        chip = tegra_chip(name.removeprefix("nvidia,"))
        if chip is not None:
            device = Sighting(
                vendor="nvidia",
                name=model or name,
                chip=chip.names[0],
                compute_capability=chip.compute_capability,
                index=0,
                integrated=True,
            )
            return Report(devices=(device,))
    return Report(trouble=unreadable(text))
