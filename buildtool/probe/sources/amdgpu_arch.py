"""``amdgpu-arch`` (and ``rocm_agent_enumerator``-like lists): one target id per line."""

from __future__ import annotations

from buildtool.probe.messages import explain
from buildtool.probe.sighting import Report, Sighting, bounded_lines, split_target

CPU = "gfx000"


def parse(text: str) -> Report:
    """Read one target per line; ``gfx000`` stands for a CPU agent."""
    lines = [line.strip() for line in bounded_lines(text) if line.strip()]
    targets = [split_target(line) for line in lines if line != CPU]
    known = [(arch, features) for arch, features in targets if arch is not None]
    return Report(
        devices=tuple(
            Sighting(vendor="amd", arch=arch, features=features, index=index)
            for index, (arch, features) in enumerate(known)
        ),
        trouble=None if known else explain(text),
        partial=0 < len(known) < len(targets),
    )
