"""Turn what the sources said into devices, drivers and warnings."""

from __future__ import annotations

import msgspec

from buildtool.probe.complete import complete
from buildtool.probe.merge import merge
from buildtool.probe.messages import advice
from buildtool.probe.model import Device, Driver, Vendor
from buildtool.probe.sighting import Report

# Worth a warning only beside a device, or when the user named the source: most machines lack most tools.
SILENT = {"no-devices", "not-found", "field-unsupported"}

Reports = tuple[tuple[str, Report], ...]


class GpuFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about GPUs."""

    devices: tuple[Device, ...] = ()
    drivers: tuple[Driver, ...] = ()
    warnings: tuple[str, ...] = ()


def assemble(reports: Reports, *, verbose: bool, drivers: tuple[Driver, ...] = ()) -> GpuFacts:
    """Merge `reports` into devices and drivers.

    Args:
        reports: source names and what they said, best source first.
        verbose: also warn about sources that only say that there is nothing.
        drivers: drivers known beforehand.
    """
    merged, warnings = merge((name, report.devices) for name, report in reports)
    said = [text for name, report in reports for text in _troubles(name, report, verbose=verbose or bool(merged))]
    drivers = _drivers(reports, drivers)
    versions: dict[Vendor, str] = {driver.vendor: driver.version for driver in drivers}
    devices: list[Device] = []
    for sourced in merged:
        device, notes = complete(sourced, versions.get(sourced.sighting.vendor))
        devices.append(device)
        said += notes
    return GpuFacts(devices=tuple(devices), drivers=drivers, warnings=tuple(dict.fromkeys((*warnings, *said))))


def _troubles(name: str, report: Report, *, verbose: bool) -> list[str]:
    trouble = report.trouble
    if trouble is None:
        return [f"{name}: its output is cut or damaged; only part of it was read."] if report.partial else []
    if trouble.kind in SILENT and not verbose:
        return []
    where = f" ({trouble.pci})" if trouble.pci and trouble.pci not in trouble.line else ""
    text = "its output is not understood: " if trouble.kind == "unreadable" else ""
    return [f"{name}: {text}{trouble.line.rstrip('.')}{where}. {advice(trouble)}".strip()]


def _drivers(reports: Reports, known: tuple[Driver, ...]) -> tuple[Driver, ...]:
    found: dict[Vendor, Driver] = {driver.vendor: driver for driver in known}
    for name, report in reports:
        if report.driver_version is None:
            continue
        vendor: Vendor = "amd" if report.driver_name == "amdgpu" else "nvidia"
        label = report.driver_name or ("nvidia" if name.startswith("nvidia") else vendor)
        stated = Driver(vendor=vendor, name=label, version=report.driver_version, cuda=report.cuda_version)
        first = found.get(vendor)
        if first is None:
            found[vendor] = stated
        elif vendor == "nvidia":
            better = "nvidia-open" if "nvidia-open" in {first.name, label} else first.name
            found[vendor] = msgspec.structs.replace(first, name=better, cuda=first.cuda or stated.cuda)
    return tuple(found.values())
