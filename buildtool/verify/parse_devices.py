"""Reads ``--list-devices`` of llama.cpp's programs (``common_print_available_devices`` in ``common/arg.cpp``)."""

from __future__ import annotations

import re

from buildtool.verify.model import ListedDevice

HEADER = "Available devices:"
_DEVICE = re.compile(r"^  (?P<name>\S+): (?P<description>.*) \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)$")


def parse_devices(text: str) -> tuple[ListedDevice, ...] | None:
    """Return the devices other than the CPU, in llama.cpp's order.

    Args:
        text: output of ``llama-server --list-devices``; notes of drivers before or between are passed over.

    Returns:
        The devices, empty if there are none; None if the text holds no list at all.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.rstrip() == HEADER]
    if not starts:
        return None
    found = [_DEVICE.match(line.rstrip()) for line in lines[starts[-1] + 1 :]]
    return tuple(
        ListedDevice(
            name=match["name"],
            description=match["description"],
            total_mib=int(match["total"]),
            free_mib=int(match["free"]),
        )
        for match in found
        if match is not None
    )
