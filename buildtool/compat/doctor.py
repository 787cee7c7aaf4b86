"""What is wrong with a machine for GPU work, worst first, each with what cures it. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.known_bad import find_bad, within
from buildtool.compat.offers import any_compiler_step, gcc_command
from buildtool.compat.rules import driver_runs, nvcc_accepts, oldest_driver
from buildtool.compat.versions import Release
from buildtool.probe.health import Health
from buildtool.probe.model import DECLARED, Device, Driver, Host, ToolkitInstall, Vendor
from buildtool.shell import command_line

Severity = Literal["error", "warning"]
AMD_CHOICES = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong.

    Attributes:
        severity: ``error``: something cannot work; ``warning``: something will probably go wrong.
        id: a fixed name of the kind of trouble.
        what: what is wrong here.
        why: what that leads to, or what people see.
        cure: the command, or what to do.
    """

    severity: Severity
    id: str
    what: str
    why: str
    cure: str


def diagnose(host: Host, health: Health) -> tuple[Finding, ...]:
    """Return everything that is wrong, errors first; () when nothing is."""
    found = [
        *_containers(host, health), *_nvidia_driver(host, health), *_kfd(host, health), *_hsa(health),
        *_compilers(host), *_drivers_and_toolkits(host), *_headers(host, health),
        *_variables(host, health), *_integrated(host, health), *_probe(host),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.severity != "error"))


def _real(host: Host, vendor: Vendor) -> list[Device]:
    """Return the devices of a vendor that are in this machine, not merely declared."""
    return [one for one in host.devices if one.vendor == vendor and one.source != DECLARED]


def _names(devices: list[Device]) -> str:
    return ", ".join(sorted({one.name for one in devices}))


def _bare(host: Host, health: Health, vendor: Vendor) -> bool:
    """Whether this is a container that sees a GPU on the bus but got no device node for it."""
    node = {"nvidia": "/dev/nvidiactl", "amd": "/dev/kfd"}[vendor]
    return bool(host.os.container and _real(host, vendor) and node not in health.nodes and not host.os.wsl)


def _containers(host: Host, health: Health) -> Iterator[Finding]:
    cures = {
        "nvidia": "docker run --gpus all ..., or podman run --device nvidia.com/gpu=all ...",
        "amd": "docker run --device /dev/kfd --device /dev/dri --group-add video ...",
    }
    vendors: tuple[Vendor, ...] = ("nvidia", "amd")
    for vendor in vendors:
        if _bare(host, health, vendor):
            yield Finding(
                severity="error",
                id="container-without-devices",
                what=f"This {host.os.container} container got no device node for {_names(_real(host, vendor))}.",
                why="The GPU is on the bus, but nothing in here can open it.",
                cure=f"start it with the devices: {cures[vendor]}",
            )


def _nvidia_driver(host: Host, health: Health) -> Iterator[Finding]:
    devices = _real(host, "nvidia")
    if not devices or any(one.vendor == "nvidia" for one in host.drivers) or _bare(host, health, "nvidia"):
        return
    if "nouveau" in health.modules:
        yield Finding(
            severity="error",
            id="nouveau",
            what=f"The nouveau driver holds {_names(devices)}.",
            why="CUDA needs NVIDIA's own driver, which cannot load beside nouveau.",
            cure=(
                "install NVIDIA's driver; echo blacklist nouveau | sudo tee /etc/modprobe.d/nouveau.conf; "
                "rebuild the initramfs (sudo update-initramfs -u, or sudo dracut --force); reboot"
            ),
        )
    else:
        yield Finding(
            severity="error",
            id="no-nvidia-driver",
            what=f"No NVIDIA driver runs for {_names(devices)}.",
            why="Without it no CUDA program finds a device.",
            cure="sudo modprobe nvidia, or install NVIDIA's driver and reboot",
        )


def _kfd(host: Host, health: Health) -> Iterator[Finding]:
    devices = _real(host, "amd")
    if host.os.system != "linux" or host.os.wsl or not devices or _bare(host, health, "amd"):
        return
    if "/dev/kfd" not in health.nodes:
        loaded = "amdgpu" in health.modules
        yield Finding(
            severity="error",
            id="no-kfd",
            what=f"There is no /dev/kfd for {_names(devices)}.",
            why="ROCm reaches the GPU through it; " + ("this kernel's amdgpu has no compute part, or does not "
                "serve this GPU." if loaded else "the amdgpu driver is not loaded."),
            cure="use a kernel with CONFIG_HSA_AMD, or Vulkan" if loaded else "sudo modprobe amdgpu",
        )  # fmt: skip
    closed = sorted(path for path, state in health.nodes.items() if state == "denied" and "nvidia" not in path)
    if closed:
        groups = ",".join(health.missing_groups)
        cure = f"sudo usermod -aG {groups} $USER, then log in again" if groups else "check the udev rules of the driver"
        yield Finding(
            severity="error",
            id="no-permission",
            what=f"This user may not open {', '.join(closed)}.",
            why=f"The user is not in {' and '.join(health.missing_groups)}."
            if groups
            else "The user's groups are right.",
            cure=cure,
        )


def _hsa(health: Health) -> Iterator[Finding]:
    if not health.hsa or health.nodes.get("/dev/kfd") != "open":
        return
    yield Finding(
        severity="error",
        id="hsa-init",
        what="The kernel driver is fine, but ROCm's runtime does not start.",
        why=f"rocminfo: {health.hsa}",
        cure=(
            "sudo dmesg | grep -iE 'amdgpu|kfd' tells what the driver said; ROCm and driver must be of about the same "
            "year (gpubuild detect shows both)"
        ),
    )


def _compilers(host: Host) -> Iterator[Finding]:
    if not host.host_compilers:
        yield Finding(
            severity="error",
            id="no-compiler",
            what="There is no C++ compiler.",
            why="llama.cpp is C++, and nvcc needs a host compiler too.",
            cure=str(any_compiler_step(host)),
        )
        return
    for install, row in _cuda_installs(host):
        if not any(nvcc_accepts(row, one) for one in host.host_compilers):
            here = ", ".join(sorted(f"{one.family} {one.version}" for one in host.host_compilers))
            oldest, newest = row.gcc
            yield Finding(
                severity="error",
                id="compiler-too-new",
                what=f"CUDA {install.version} in {install.path} accepts GCC {oldest} to {newest}; here is {here}.",
                why=f"seen as: {find_bad('nvcc-new-gcc').error.replace('11', str(newest))}",
                cure=gcc_command(host, oldest, newest) or f"install a GCC from {oldest} to {newest}",
            )


def _cuda_installs(host: Host) -> Iterator[tuple[ToolkitInstall, tables.CudaToolkit]]:
    rows = {row.release.minor: row for row in tables.cuda_toolkits()}
    for install in host.toolkits:
        release = Release.read(install.version)
        if install.kind == "cuda" and release is not None and release.minor in rows:
            yield install, rows[release.minor]


def _drivers_and_toolkits(host: Host) -> Iterator[Finding]:
    driver = next((one for one in host.drivers if one.vendor == "nvidia"), None)
    newest = _newest_major(driver, host.os.system) if driver is not None else None
    if driver is None or newest is None:
        return
    offers = f", which offers CUDA {driver.cuda}" if Release.read(driver.cuda) else ""
    for install, row in _cuda_installs(host):
        if not driver_runs(driver, row.release, host.os.system):
            limit = newest + 1 if row.release.major > newest else row.version
            older = command_line(("gpubuild", "plan", "--toolkit", f"cuda<{limit}"), host.os.system)
            yield Finding(
                severity="error",
                id="driver-too-old",
                what=f"CUDA {install.version} in {install.path} is too new for NVIDIA driver {driver.version}{offers}.",
                why=f"seen as: {find_bad('driver-older-than-runtime').error}",
                cure=f"update the NVIDIA driver to {oldest_driver(row.release, host.os.system)} or newer, or: {older}",
            )


def _newest_major(driver: Driver, system: str) -> int | None:
    """Return the newest CUDA major that a driver runs: as it says itself, else by its version."""
    offered, version = Release.read(driver.cuda), Release.read(driver.version)
    if offered is not None:
        return offered.major
    if version is None:
        return None
    oldest = {
        row.release.major: Release.read(oldest_driver(row.release, system)) for row in tables.cuda_toolkits()[::-1]
    }
    return max((major for major, needed in oldest.items() if needed is not None and needed <= version), default=0)


def _headers(host: Host, health: Health) -> Iterator[Finding]:
    libc = host.libc.version if host.libc is not None and host.libc.name == "glibc" else None
    for guards in health.headers:
        bad = None
        if within(">=2.41", libc) and not guards.glibc_2_41:
            bad = find_bad("cuda-glibc-2.41")
        elif within(">=2.42", libc) and not guards.glibc_2_42:
            bad = find_bad("cuda-glibc-2.42")
        if bad is not None:
            yield Finding(
                severity="error",
                id="header-without-guard",
                what=f"The headers of CUDA in {guards.path} do not compile with glibc {libc}.",
                why=f"seen as: {bad.error}",
                cure=f'{bad.cure}: gpubuild toolchain install "cuda>=13.2"',
            )


def _variables(host: Host, health: Health) -> Iterator[Finding]:
    targets = {(one.target or "").partition(":")[0] for one in host.devices if one.vendor == "amd"}
    own = {row.isa for name, row in tables.amd_targets().items() if name in targets}
    for row in tables.known_bad():
        value = health.environment.get(row.variable) if row.variable else None
        if value is None or own == {value} or (row.systems and host.os.system not in row.systems):
            continue
        if targets & set(row.targets) if row.targets else targets:
            yield Finding(
                severity="warning",
                id=row.id,
                what=f"{row.variable}={value} is set: {row.what}.",
                why=f"seen as: {row.error}",
                cure=row.cure,
            )


def _integrated(host: Host, health: Health) -> Iterator[Finding]:
    devices = [one for one in _real(host, "amd") if one.usable]
    shared = [one for one in devices if one.integrated is True]
    cards = [one for one in devices if one.integrated is False]
    if not shared or not cards or any(name in health.environment for name in AMD_CHOICES):
        return
    number = cards[0].index if cards[0].index is not None else devices.index(cards[0])
    set_it = f"setx HIP_VISIBLE_DEVICES {number}" if host.os.system == "windows" else (
        f"export ROCR_VISIBLE_DEVICES={number}"
    )  # fmt: skip
    yield Finding(
        severity="warning",
        id="igpu-shadows",
        what=f"{_names(shared)} (in the processor) stands beside {_names(cards)}.",
        why="ROCm counts both: work lands on the slow one, or a program without code for it stops.",
        cure=set_it,
    )


def _probe(host: Host) -> Iterator[Finding]:
    for text in host.warnings:
        what, _, advice = text.partition(". ")
        yield Finding(severity="warning", id="probe", what=f"{what.rstrip('.')}.", why="", cure=advice)
