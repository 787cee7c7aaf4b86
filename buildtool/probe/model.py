"""What a machine is, as one frozen value: the JSON of ``gpubuild detect --json`` (documented in docs/detect.md)."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
DEVICES_VARIABLE = "GPUBUILD_DEVICES"
DECLARED = "environment"  # source of a device that the variable declares
Vendor = Literal["nvidia", "amd", "intel", "other"]


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One GPU.

    Attributes:
        vendor: who made it.
        name: marketing name as the source reports it, or the chip's name.
        target: ``sm_90`` or ``gfx1032[:feature]``; None when no source knows it.
        compute_capability: NVIDIA only, such as ``9.0``.
        vram_mib: device memory in MiB.
        pci: address as ``dddd:bb:dd.f``, lower case.
        driver: version of the kernel driver that serves it.
        source: the probe that reported it (``environment``, ``nvml``, ``nvidia-smi``, ``kfd``, ...).
        integrated: True for an iGPU/APU, False for a card, None when unknown.
        index: number the source gives it; what ``CUDA_VISIBLE_DEVICES`` and its like count.
        device_id: PCI vendor and device id, such as ``10de:2684``.
        usable: False when the driver was told to leave it alone.
        mig_vram_mib: memory of each MIG slice, when the device is divided into such.
    """

    vendor: Vendor
    name: str
    target: str | None = None
    compute_capability: str | None = None
    vram_mib: int | None = None
    pci: str | None = None
    driver: str | None = None
    source: str
    integrated: bool | None = None
    index: int | None = None
    device_id: str | None = None
    usable: bool = True
    mig_vram_mib: tuple[int, ...] = ()


class Driver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU kernel driver. `cuda` is the newest CUDA version an NVIDIA driver offers, such as ``13.0``."""

    vendor: Vendor
    name: str
    version: str
    cuda: str | None = None


class ToolkitInstall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An installed CUDA, ROCm or Vulkan SDK: `path` is its root, `compiler` its nvcc/clang++/glslc.

    `lacks` names those of its math libraries (cuBLAS, hipBLAS, rocBLAS) whose headers are not there: vendors package
    them apart from the compiler.
    """

    kind: Literal["cuda", "rocm", "vulkan"]
    version: str | None
    path: str
    compiler: str | None = None
    lacks: tuple[str, ...] = ()


class HostCompiler(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A C++ compiler with its C sibling.

    `family` names the front end; `libstdcxx` is the major version of GCC whose C++ library a clang on Linux takes.
    """

    family: Literal["gcc", "clang", "msvc"]
    version: str
    cxx: str
    cc: str | None = None
    libstdcxx: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A build tool found on this machine (cmake, ninja, git, ccache, sccache, ...)."""

    name: str
    version: str | None
    path: str


class OperatingSystem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where we run. `id`/`version` are those of os-release; `container` is its kind or None."""

    system: Literal["linux", "windows", "macos"]
    machine: str
    id: str
    version: str
    name: str
    kernel: str
    container: str | None = None
    wsl: bool = False


class Libc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The C library: ``glibc``, ``musl`` or ``msvcrt``."""

    name: str
    version: str | None


class Offered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolkit that a server offers which the user has named.

    Attributes:
        kind: which toolkit.
        provider: how it is packaged there, and so what unpacks it: ``redist`` (NVIDIA's redistributable archives),
            ``therock`` and ``therock-wheels`` (AMD's TheRock).
        version: its release, as the server writes it.
        family: of AMD's, the group of targets whose kernels its libraries hold.
    """

    kind: Literal["cuda", "rocm"]
    provider: Literal["redist", "therock", "therock-wheels"]
    version: str
    family: str = ""


class ContainerImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A container image: `name` as it was asked for (``docker://...``), `id` the sha256 of its configuration."""

    name: str
    id: str


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything later rooms may know about this machine.

    `offered` is filled for a plan only, and only from servers that the environment names. With `image`, toolkits,
    compilers, operating system and C library are those inside it.
    """

    schema: int = SCHEMA
    devices: tuple[Device, ...] = ()
    drivers: tuple[Driver, ...] = ()
    toolkits: tuple[ToolkitInstall, ...] = ()
    host_compilers: tuple[HostCompiler, ...] = ()
    tools: tuple[Tool, ...] = ()
    os: OperatingSystem
    libc: Libc | None = None
    cpus: int = 1
    memory_mib: int | None = None
    offered: tuple[Offered, ...] = ()
    image: ContainerImage | None = None
    warnings: tuple[str, ...] = ()
