"""Devices to imitate, and the configuration that the imitation reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

from buildtool.codeobj import amdgpu
from buildtool.compat import tables
from buildtool.compat.targets import Target, parse_target
from buildtool.errors import InvalidInputError

FIRST_WAVE32 = 10  # from this major on, HIP reports a wave of 32 threads
MEMORY_BYTES = 8 << 30
UNITS = 16


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device to imitate.

    Attributes:
        target: what it reports as ``gcnArchName``, with all its features: ``gfx90a:sramecc+:xnack-``.
        name: its marketing name.
        memory: bytes.
        units: compute units, as HIP counts them.
    """

    target: str
    name: str = "an imitated device"
    memory: int = MEMORY_BYTES
    units: int = UNITS


class _Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    reported: str
    targets: tuple[str, ...]
    source: str


class _Generic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    source: str


class _Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: tuple[str, ...]
    source: str


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    feature: tuple[_Feature, ...]
    generic: _Generic
    symbol_versions: _Versions


@functools.cache
def _facts() -> _Facts:
    text = resources.files("buildtool.verify").joinpath("data/rig.toml").read_text("utf-8")
    return tables.decode_table(text, _Facts, "rig.toml")


def symbol_versions() -> tuple[str, ...]:
    """Return the symbol versions of the real HIP library."""
    return _facts().symbol_versions.names


def device_for(text: str) -> Device:
    """Return a device that runs code for a target; features that the target leaves open are what devices report.

    A generic target stands for the first processor that it covers.

    Raises:
        UnknownNameError: nobody knows the target.
        InvalidInputError: it is not AMD's, or it names several.
    """
    found = parse_target(text)
    if len(found) != 1 or found[0].platform != "rocm":
        what = f"{text!r} is not one target of AMD's."
        raise InvalidInputError(what, hint="Write it like gfx1032 or gfx90a:xnack-.")
    target = found[0]
    chip = next((row.name for row in tables.amd_targets().values() if row.generic == target.chip), target.chip)
    named = {feature[:-1]: feature for feature in target.features}
    features = tuple(named.get(row.name, row.name + row.reported) for row in _facts().feature if chip in row.targets)
    return Device(target=str(Target("rocm", chip, "", features)))


def configuration(devices: Sequence[Device], log: Path, runtime_major: int) -> str:
    """Return what the imitation reads: the devices, and the loader's facts.

    Args:
        devices: what to report, in order.
        log: file for the record.
        runtime_major: of the HIP release to imitate.
    """
    has = {row.name: frozenset(row.targets) for row in _facts().feature}
    lines = [f"log\t{log}", f"runtime\t{runtime_major * 10_000_000}"]
    lines += [
        f"machine\t{number}\t{name}\t{int(name in has['xnack'])}\t{int(name in has['sramecc'])}"
        for number, name in sorted(amdgpu.machines().items())
    ]
    generics = sorted({row.generic for row in tables.amd_targets().values() if row.generic})
    lines += [f"generic\t{name}\t{_facts().generic.version}" for name in generics]
    lines += [_line(device) for device in devices]
    return "\n".join(lines) + "\n"


def _line(device: Device) -> str:
    row = tables.amd_targets()[device.target.partition(":")[0]]
    major, minor, _ = (int(part) for part in row.isa.split("."))
    wave = 32 if major >= FIRST_WAVE32 else 64
    fields = (device.target, row.generic, device.name, device.memory, device.units, wave, major, minor)
    return "device\t" + "\t".join(str(field) for field in fields)
