"""The machine around the GPUs: operating system, C library, CPUs, memory."""

from __future__ import annotations

import re

from buildtool.probe.machine import Machine, join
from buildtool.probe.model import Libc, OperatingSystem
from buildtool.probe.sighting import MIB, whole_number

CGROUP = "/sys/fs/cgroup"
WINDOWS_11_BUILD = 22000
DEFAULT_PERIOD_US = 100_000


def operating_system(machine: Machine) -> OperatingSystem:
    """Describe the operating system; on Linux from os-release(5)."""
    if machine.system != "linux":
        return _other_system(machine)
    text = machine.read_text("/etc/os-release") or machine.read_text("/usr/lib/os-release") or ""
    fields = parse_os_release(text)
    return OperatingSystem(
        system="linux",
        machine=machine.arch,
        id=fields.get("ID", "linux"),
        version=fields.get("VERSION_ID", fields.get("BUILD_ID", "")),
        name=fields.get("PRETTY_NAME", fields.get("NAME", "Linux")),
        kernel=machine.kernel,
        container=_container(machine),
        wsl="microsoft" in machine.kernel.lower(),
    )


def parse_os_release(text: str) -> dict[str, str]:
    """Read the shell-like assignments of os-release(5)."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and re.fullmatch(r"[A-Z][A-Z0-9_]*", key):
            fields[key] = re.sub(r"\\(.)", r"\1", value.strip().strip("\"'"))
    return fields


def _other_system(machine: Machine) -> OperatingSystem:
    name = "macOS"
    if machine.system == "windows":
        build = whole_number(machine.kernel.rpartition(".")[2]) or 0
        name = "Windows 11" if build >= WINDOWS_11_BUILD else "Windows 10"
    return OperatingSystem(
        system=machine.system,
        machine=machine.arch,
        id=machine.system,
        version=machine.kernel,
        name=name,
        kernel=machine.kernel,
    )


def _container(machine: Machine) -> str | None:
    """Name the container's kind, by the marks its managers leave."""
    stated = (machine.read_text("/run/systemd/container") or machine.environ.get("container") or "").strip()
    if stated:
        return stated[:40]
    if "KUBERNETES_SERVICE_HOST" in machine.environ:
        return "kubernetes"
    for mark, kind in (("/run/.containerenv", "podman"), ("/.dockerenv", "docker"), ("/.singularity.d", "apptainer")):
        if machine.exists(mark):
            return kind
    groups = re.search(r"kubepods|docker|lxc|containerd|libpod", machine.read_text("/proc/1/cgroup") or "")
    return {"kubepods": "kubernetes", "libpod": "podman"}.get(groups[0], groups[0]) if groups else None


def c_library(machine: Machine) -> Libc | None:
    """Name the C library that programs of this machine are linked with."""
    if machine.system == "windows":
        return Libc(name="msvcrt", version=None)
    if machine.system != "linux":
        return None
    glibc = machine.glibc_version()
    if glibc is not None:
        return Libc(name="glibc", version=glibc)
    loader = f"/lib/ld-musl-{machine.arch}.so.1"
    if not machine.exists(loader):
        return None
    # musl's loader is the C library itself; run without arguments it prints its version.
    output = machine.run((loader,), 2.0)
    version = re.search(r"Version (\d[\d.]*)", output.text) if output else None
    return Libc(name="musl", version=version[1] if version else None)


def cpu_limit(machine: Machine) -> int:
    """Return how many CPUs a build may keep busy: affinity mask and control group quota (v2, then v1)."""
    count = machine.cpu_count()
    for folder in _cgroups(machine):
        quota, _, period = (machine.read_text(join(machine, folder, "cpu.max")) or "").strip().partition(" ")
        count = min(count, _quota(quota, period, count))
    v1 = join(machine, CGROUP, "cpu")
    quota = (machine.read_text(join(machine, v1, "cpu.cfs_quota_us")) or "").strip()
    period = (machine.read_text(join(machine, v1, "cpu.cfs_period_us")) or "").strip()
    return max(1, min(count, _quota(quota, period, count)))


def memory_limit_mib(machine: Machine) -> int | None:
    """Return the memory in MiB: installed, or what the control group allows if that is less."""
    total = re.search(r"^MemTotal:\s+(\d{1,15}) kB", machine.read_text("/proc/meminfo") or "", re.MULTILINE)
    size = int(total[1]) * 1024 if total else machine.memory_bytes()
    limits = [whole_number(machine.read_text(join(machine, folder, "memory.max"))) for folder in _cgroups(machine)]
    limits.append(whole_number(machine.read_text(join(machine, CGROUP, "memory", "memory.limit_in_bytes"))))
    sizes = [value for value in (size, *limits) if value]
    return min(sizes) // MIB if sizes else None


def memory_available_mib(machine: Machine) -> int | None:
    """Return the memory in MiB that can be had without swapping: the kernel's estimate, or what the groups leave."""
    free = re.search(r"^MemAvailable:\s+(\d{1,15}) kB", machine.read_text("/proc/meminfo") or "", re.MULTILINE)
    if free is None:
        return None
    left = [_left(machine, folder, "memory.max", "memory.current") for folder in _cgroups(machine)]
    left.append(_left(machine, join(machine, CGROUP, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"))
    return max(0, min([int(free[1]) * 1024, *(size for size in left if size is not None)])) // MIB


def _left(machine: Machine, folder: str, limit_file: str, used_file: str) -> int | None:
    limit, used = (whole_number(machine.read_text(join(machine, folder, name))) for name in (limit_file, used_file))
    if limit is None or used is None:
        return None
    # What was read from files counts as used, and goes when memory is asked for.
    stat = machine.read_text(join(machine, folder, "memory.stat")) or ""
    cached = re.search(r"^inactive_file (\d{1,15})$", stat, re.MULTILINE)
    return limit - used + (int(cached[1]) if cached else 0)


def _cgroups(machine: Machine) -> tuple[str, ...]:
    """Return the control group of this process and its ancestors (cgroups(7), unified hierarchy)."""
    match = re.search(r"^0::(/[^\n]*)$", machine.read_text("/proc/self/cgroup") or "", re.MULTILINE)
    parts = [part for part in (match[1] if match else "/").split("/") if part and part != ".."]
    return tuple(join(machine, CGROUP, *parts[:depth]) for depth in range(len(parts), -1, -1))


def _quota(quota: str, period: str, otherwise: int) -> int:
    allowed, window = whole_number(quota), whole_number(period) or DEFAULT_PERIOD_US
    return -(-allowed // window) if allowed else otherwise
