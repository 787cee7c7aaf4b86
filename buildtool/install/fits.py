"""Whether a wheel fits a machine: system, C library, Python, device, driver. Small rules, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from buildtool.codeobj.model import Image
from buildtool.codeobj.rules import will_run
from buildtool.compat.options import platform_of
from buildtool.compat.rules import driver_runs, oldest_driver
from buildtool.compat.versions import Release
from buildtool.index.model import IndexedWheel
from buildtool.probe.model import Device, Host

VENDORS = {"cuda": "nvidia", "rocm": "amd"}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "win_amd64": "x86_64", "win_arm64": "aarch64"}
LEGACY = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}  # PEP 600
_MANYLINUX = re.compile(r"^manylinux_(\d+)_(\d+)_(\w+)$")
_LEGACY = re.compile(r"^(manylinux(?:1|2010|2014))_(\w+)$")


def misfit(wheel: IndexedWheel, host: Host, python: str) -> str:
    """Say why a wheel cannot be installed on a machine; "" when it can."""
    if wheel.yanked is not None:
        return f"it was withdrawn{f': {wheel.yanked}' if wheel.yanked else ''}"
    problems = [_tag_problem(tag, host) for tag in wheel.platforms]
    if problems and all(problems):
        return problems[0]
    try:
        fits = not wheel.requires_python or SpecifierSet(wheel.requires_python).contains(python, prereleases=True)
    except ValueError:
        fits = False
    return "" if fits else f"it needs Python {wheel.requires_python}, the environment has {python}"


def _tag_problem(tag: str, host: Host) -> str:
    if tag == "any":
        return ""
    system, _, machine = platform_of(host).partition("-")
    needed = _manylinux(tag)
    if needed is None:
        own = {"linux": f"linux_{machine}", "windows": "win_amd64" if machine == "x86_64" else "win_arm64"}.get(system)
        return "" if tag == own else f"it is for {tag}, this machine is {platform_of(host)}"
    oldest, arch = needed
    if system != "linux" or arch != machine:
        return f"it is for Linux {arch}, this machine is {platform_of(host)}"
    libc = host.libc
    if libc is None or libc.name != "glibc":
        return f"it needs glibc {oldest}, this machine has {libc.name if libc is not None else 'another C library'}"
    here = Release.read(libc.version)
    if here is not None and here < Release.parse(oldest):
        return f"it needs glibc {oldest}, this machine has {libc.version}"
    return ""


def _manylinux(tag: str) -> tuple[str, str] | None:
    found = _MANYLINUX.match(tag)
    if found is not None:
        return f"{found[1]}.{found[2]}", found[3]
    legacy = _LEGACY.match(tag)
    return (LEGACY[legacy[1]], legacy[2]) if legacy is not None else None


def kind_of(wheel: IndexedWheel) -> str:
    """Return ``cuda``, ``rocm``, ``vulkan`` or ``cpu``."""
    return wheel.family.rstrip("0123456789")


def served(wheel: IndexedWheel, host: Host) -> tuple[Device, ...]:
    """Return the devices whose driver loads code of a wheel; for Vulkan every device."""
    kind = kind_of(wheel)
    if kind == "vulkan":
        return tuple(device for device in host.devices if device.usable)
    return tuple(
        device for device in host.devices if device.usable and device.vendor == VENDORS[kind] and _holds(wheel, device)
    )


def exact(wheel: IndexedWheel, device: Device) -> bool:
    """Whether a wheel holds code for exactly a device's target, features apart."""
    name = (device.target or "").split(":")[0]
    return any(target.rstrip("af").split(":")[0] == name or target == name for target in wheel.targets)


def _holds(wheel: IndexedWheel, device: Device) -> bool:
    if not device.target:
        return False
    kind = "cubin" if kind_of(wheel) == "cuda" else "hsaco"
    images = (Image(kind=kind, target=target, bytes=0, offset=0) for target in wheel.targets)
    return any(will_run(image, device.target).answer == "yes" for image in images)


def unserved(wheel: IndexedWheel, host: Host, *, vulkan: bool) -> str:
    """Say why a backend serves no device of a machine; "" when it serves one."""
    return next(_reasons(wheel, host, vulkan=vulkan), "")


def _reasons(wheel: IndexedWheel, host: Host, *, vulkan: bool) -> Iterator[str]:
    kind = kind_of(wheel)
    if kind == "vulkan":
        if not any(device.usable for device in host.devices):
            yield "no GPU was detected"
        if not vulkan:
            yield "the Vulkan loader (libvulkan.so.1) is not installed"
        return
    vendor = "NVIDIA" if kind == "cuda" else "AMD"
    mine = [device for device in host.devices if device.usable and device.vendor == VENDORS[kind]]
    if not mine:
        yield f"no {vendor} GPU was detected"
    elif not served(wheel, host):
        targets = ", ".join(dict.fromkeys(device.target or f"{device.name} (target unknown)" for device in mine))
        yield f"it has code for {', '.join(wheel.targets) or 'no device'}, not for {targets}"
    if kind == "cuda":
        yield from _driver(wheel, host)


def _driver(wheel: IndexedWheel, host: Host) -> Iterator[str]:
    driver = next((one for one in host.drivers if one.vendor == "nvidia"), None)
    if driver is None:
        yield "no NVIDIA driver was detected"
        return
    toolkit = Release.read(wheel.toolkit)
    if toolkit is not None and not driver_runs(driver, toolkit, host.os.system):
        oldest = oldest_driver(toolkit, host.os.system)
        needs = f"NVIDIA driver {oldest} or newer" if oldest else "a newer NVIDIA driver"
        yield f"CUDA {wheel.toolkit} needs {needs}, this machine has {driver.version}"
