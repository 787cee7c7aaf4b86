"""Step 2: llama.cpp itself lists the devices that the artefact's backends are for."""

from __future__ import annotations

from buildtool import process
from buildtool.errors import VerificationError
from buildtool.verify.backends import is_device_of
from buildtool.verify.findings import Findings, last_lines
from buildtool.verify.model import ListedDevice, Options
from buildtool.verify.parse_devices import parse_devices
from buildtool.verify.subject import Subject

TITLE = "devices are listed"
# What to look at where a backend has no device. Seen on an H100 in a container, driver 580.
_LOOK_AT = {
    "vulkan": "VK_LOADER_DEBUG=error says which driver Vulkan could not load, and why;"
    " NVIDIA's own needs libEGL and libX11 too (Debian: libegl1 libx11-6 libxext6)."
}
_PROGRAMS = ("llama-server", "llama-bench", "llama-cli")


def check(subject: Subject, options: Options) -> Findings:
    """Ask the first program that is there for its devices.

    Raises:
        VerificationError: no program is there, or it prints no list.
        ProcessError: it crashed or hung.
    """
    program = next((path for path in map(subject.program, _PROGRAMS) if path is not None), None)
    if program is None:
        what = "The artefact has none of the programs that list devices."
        raise VerificationError(what, why="Looked for " + ", ".join(_PROGRAMS) + ".")
    argv = [str(program), "--list-devices"]
    done = process.run(argv, cwd=subject.scratch, env=subject.env, timeout_s=options.timeouts.devices)
    devices = parse_devices(done.output)
    if devices is None:
        what = f"{program.name} --list-devices printed no list."
        raise VerificationError(what, details=last_lines(done.output))
    return judge(devices, subject.backends(), last_lines(done.output))


def judge(devices: tuple[ListedDevice, ...], backends: tuple[str, ...], evidence: tuple[str, ...]) -> Findings:
    """Decide: every GPU backend of the artefact must show at least one device."""
    absent = [name for name in backends if not any(is_device_of(device.name, name) for device in devices)]
    if absent:
        summary = f"no device for {', '.join(absent)}: not proved on a device"
        looks = tuple(_LOOK_AT[name] for name in absent if name in _LOOK_AT)
        return Findings(verdict="not-proved", summary=summary, evidence=(*evidence, *looks), devices=devices)
    names = ", ".join(f"{device.name} ({device.description})" for device in devices)
    summary = names or "the CPU alone, as no GPU backend is part of the artefact"
    return Findings(verdict="passed", summary=summary, evidence=evidence, devices=devices)


def to_prove(devices: tuple[ListedDevice, ...], *, every: bool) -> tuple[str, ...]:
    """Return the names of the devices to prove: all, or the first of every kind of each backend."""
    if every:
        return tuple(device.name for device in devices)
    first = {_kind(device): device.name for device in reversed(devices)}
    return tuple(device.name for device in devices if first[_kind(device)] == device.name)


def _kind(device: ListedDevice) -> tuple[str, str]:
    """Tell equal devices: one card is CUDA0 to one backend and Vulkan0 to another, under the same description."""
    return device.name.rstrip("0123456789"), device.description
