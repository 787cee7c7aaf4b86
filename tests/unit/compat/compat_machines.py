"""Machines for the tests of the compatibility engine."""

from __future__ import annotations

from typing import Any

from buildtool.probe.model import Device, Driver, Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall


def gcc(major: int, minor: int = 2) -> HostCompiler:
    return HostCompiler(
        family="gcc", version=f"{major}.{minor}.0", cxx=f"/usr/bin/g++-{major}", cc=f"/usr/bin/gcc-{major}"
    )


def clang(major: int) -> HostCompiler:
    return HostCompiler(
        family="clang", version=f"{major}.0.1", cxx=f"/usr/bin/clang++-{major}", cc=f"/usr/bin/clang-{major}"
    )


def cuda(version: str, path: str | None = None) -> ToolkitInstall:
    return ToolkitInstall(kind="cuda", version=version, path=path or f"/opt/cuda-{version}")


def rocm(version: str, path: str = "/opt/rocm") -> ToolkitInstall:
    return ToolkitInstall(kind="rocm", version=version, path=path)


def nvidia(target: str, name: str = "NVIDIA card") -> Device:
    return Device(vendor="nvidia", name=name, target=target, source="nvml")


def amd(target: str, name: str = "AMD card") -> Device:
    return Device(vendor="amd", name=name, target=target, source="kfd")


def driver(version: str, offers: str | None) -> Driver:
    return Driver(vendor="nvidia", name="nvidia", version=version, cuda=offers)


def debian(version: str = "12", **changes: Any) -> Host:
    """A Debian machine with its own compiler and no GPU."""
    glibc, compiler = {"11": ("2.31", 10), "12": ("2.36", 12), "13": ("2.41", 14)}[version]
    facts: dict[str, Any] = {
        "os": OperatingSystem(
            system="linux", machine="x86_64", id="debian", version=version, name=f"Debian {version}", kernel="6.1"
        ),
        "libc": Libc(name="glibc", version=glibc),
        "host_compilers": (gcc(compiler),),
        "cpus": 2,
    }
    return Host(**(facts | changes))


def ubuntu(**changes: Any) -> Host:
    """An Ubuntu 24.04 machine with its own compiler and no GPU."""
    system = OperatingSystem(
        system="linux", machine="x86_64", id="ubuntu", version="24.04", name="Ubuntu 24.04", kernel="6.8"
    )
    return debian(
        **({"os": system, "libc": Libc(name="glibc", version="2.39"), "host_compilers": (gcc(13),)} | changes)
    )


def windows(**changes: Any) -> Host:
    """A Windows 11 machine with Visual Studio 2022 and no GPU."""
    facts: dict[str, Any] = {
        "os": OperatingSystem(
            system="windows", machine="AMD64", id="windows", version="11", name="Windows 11", kernel="10.0.22631"
        ),
        "libc": Libc(name="msvcrt", version=None),
        "host_compilers": (HostCompiler(family="msvc", version="19.39.33523", cxx="cl.exe", cc="cl.exe"),),
    }
    return Host(**(facts | changes))
