"""Ask the machine for its GPUs: chains of sources side by side, each from its best source on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from buildtool.probe.gather import gather
from buildtool.probe.machine import Machine
from buildtool.probe.model import Driver
from buildtool.probe.registry import CHAINS, LAST_RESORT, Source
from buildtool.probe.sighting import Report, Sighting, Trouble

Reports = tuple[tuple[str, Report], ...]

# A little more than the slowest chain needs when its programs run into their own limits one after the other.
LIMIT_S = 15.0


def searched() -> tuple[str, ...]:
    """Return the names of all sources that are asked, in order."""
    return tuple(source.name for chain in CHAINS.values() for source in chain)


def probe_devices(machine: Machine) -> tuple[Reports, tuple[Driver, ...], tuple[str, ...]]:
    """Ask all chains.

    Returns:
        What each source said (best first), drivers found without them, and a warning for each chain that hung.
    """
    # Each chain writes into its own list, so that what it found before it hung is kept.
    found: dict[str, list[tuple[str, Report]]] = {name: [] for name in CHAINS}
    chains: dict[str, Callable[[], None]] = {
        name: partial(run_chain, machine, sources, found[name]) for name, sources in CHAINS.items()
    }
    _, failures = gather(chains, LIMIT_S)
    reports = tuple(pair for part in found.values() for pair in tuple(part))
    if not any(report.devices for _, report in reports) and machine.system != "linux":
        last: list[tuple[str, Report]] = []
        run_chain(machine, (LAST_RESORT,), last)
        reports += tuple(last)
    stuck = tuple(f"The search for {name} devices {why}." for name, why in failures.items())
    return reports, _amdgpu_driver(machine), stuck


def run_chain(machine: Machine, sources: tuple[Source, ...], reports: list[tuple[str, Report]]) -> None:
    """Ask `sources` in order until one leaves no gap, adding to `reports`; a crash costs only that source's result."""
    for source in sources:
        try:
            report = source.collect(machine)
        except Exception as error:  # noqa: BLE001 - a crashing probe costs its result, never the run
            report = Report(trouble=Trouble(kind="crashed", line=f"{type(error).__name__}: {error}"))
        if report is not None:
            reports.append((source.name, report))
            if report.devices and not any(_has_gap(device) for device in report.devices):
                return


def _has_gap(device: Sighting) -> bool:
    return device.vram_mib is None or (device.arch is None and device.compute_capability is None)


def _amdgpu_driver(machine: Machine) -> tuple[Driver, ...]:
    """Describe the amdgpu kernel driver: AMD's packages state a version, the kernel's own has the kernel's."""
    if not machine.exists("/sys/module/amdgpu"):
        return ()
    version = (machine.read_text("/sys/module/amdgpu/version") or "").strip() or machine.kernel
    return (Driver(vendor="amd", name="amdgpu", version=version),)
