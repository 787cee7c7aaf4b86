"""No damage to a recording makes a parser crash, hang or invent; mutations.py runs the same in thousands."""

from __future__ import annotations

import os
import random
import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import SLOW_S, mutate, read, recordings  # type: ignore[import-not-found]

from buildtool.probe.model import Device
from buildtool.probe.registry import PARSERS
from buildtool.probe.sighting import MAX_VRAM_MIB, normalise_pci

ORIGINALS = recordings()
EXAMPLES = int(os.environ.get("GPUBUILD_MUTATIONS", "300"))


def check(tool: str, text: str) -> None:
    start = time.thread_time()
    report, facts = read(tool, text)
    assert time.thread_time() - start < SLOW_S
    assert len(facts.devices) == len(report.devices)
    assert report.devices or report.trouble or report.driver_version or tool in {"lspci", "vulkaninfo-summary"}
    for device in facts.devices:
        assert msgspec.json.decode(msgspec.json.encode(device), type=Device) == device
        assert device.name
        assert device.pci is None or normalise_pci(device.pci) == device.pci
        assert device.vram_mib is None or 0 < device.vram_mib <= MAX_VRAM_MIB
        assert device.target is None or device.target.startswith(("sm_", "gfx"))


@pytest.mark.skipif(not ORIGINALS, reason="shared/captures is not beside this checkout")
@given(number=st.integers(0, max(len(ORIGINALS) - 1, 0)), seed=st.integers(0, 2**32), rounds=st.integers(1, 6))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_recordings(number: int, seed: int, rounds: int) -> None:
    tool, text = ORIGINALS[number]
    check(tool, mutate(text, random.Random(seed), rounds))  # noqa: S311 - damage, not secrets


@given(tool=st.sampled_from(sorted(PARSERS)), text=st.text(max_size=400))
@settings(max_examples=EXAMPLES // 3, deadline=None)
def test_any_text(tool: str, text: str) -> None:
    check(tool, text)


@pytest.mark.parametrize("tool", sorted(PARSERS))
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n" * 50_000,
        "a" * 200_000,
        " : " * 50_000,
        "[" * 100_000,
        "{" * 100_000,
        "<nvidia_smi_log>" + "<gpu>" * 20_000,
        " [AMD/ATI] [" * 30_000,
        "00:00.0 VGA compatible controller: " + "[" * 100_000,
        "GPU 00000000:01:00.0\n" + "\n".join(" " * depth + "x" for depth in range(2000)),
        "x" + " " * 200_000 + ":",
    ],
    ids=lambda text: text[:12].strip() or f"{len(text)}",
)
def test_hostile_sizes(tool: str, text: str) -> None:
    check(tool, text)
