"""What one source says about the GPUs of a machine, before anything is merged or derived.

A parser reports what its text states and nothing else; what follows from tables (a target from a PCI id)
is added later by `buildtool.probe.complete`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from buildtool.probe.model import Vendor

PCI = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})\.([0-7])")
VENDOR_IDS: dict[int, Vendor] = {0x10DE: "nvidia", 0x1002: "amd", 0x1022: "amd", 0x8086: "intel"}
MIB = 1 << 20
MAX_VRAM_MIB = 1 << 24
MAX_TEXT = 16 << 20
MAX_LINES = 100_000
MAX_WIDTH = 1000

ErrorKind = Literal[
    "no-devices",
    "device-lost",
    "driver-library-mismatch",
    "no-driver",
    "field-unsupported",
    "kernel-userspace-mismatch",
    "hsa-init-failed",
    "permission",
    "crashed",
    "not-found",
    "unreadable",
]


class MigSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG device of an NVIDIA GPU: its index, GPU instance id and memory."""

    index: int
    gi: int | None = None
    vram_mib: int | None = None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as one source states it; None means that the source does not say.

    Attributes:
        name: as printed; `name_truncated` when the source cut it ("NVIDIA GeForce RTX 2080 ...").
        arch: LLVM processor (``gfx90a``) without its features.
        features: target features as printed, such as ``sramecc+:xnack-``.
        compute_capability: NVIDIA, such as ``9.0``.
        architecture: NVIDIA's family name, such as ``Hopper``.
        vram_suspect: the printed memory size cannot be right.
        pci: ``dddd:bb:dd.f``, lower case.
        device_id: PCI device id, ``0x740f``.
        chip: code name as printed, such as ``AD102`` or ``Navi 23``.
        index: position in the source's own numbering.
        err: a sensor of the device reports an error.
        powered_off: the device is asleep (PCI revision ff).
        excluded: the driver was told not to use it.
        kernel_driver: kernel module bound to it.
    """

    vendor: Vendor
    name: str | None = None
    name_truncated: bool = False
    arch: str | None = None
    features: str | None = None
    compute_capability: str | None = None
    architecture: str | None = None
    vram_mib: int | None = None
    vram_suspect: bool = False
    pci: str | None = None
    pci_class: str | None = None
    device_id: str | None = None
    chip: str | None = None
    index: int | None = None
    node: int | None = None
    simd_count: int | None = None
    render_minor: int | None = None
    integrated: bool | None = None
    mig_mode: str | None = None
    mig: tuple[MigSlice, ...] = ()
    driver_model: str | None = None
    api_version: str | None = None
    driver: str | None = None
    err: bool = False
    powered_off: bool = False
    excluded: bool = False
    kernel_driver: str | None = None
    uuid: str | None = None


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a source could not tell (all of) its devices, with the line that says so."""

    kind: ErrorKind
    line: str
    pci: str | None = None
    subject: str | None = None
    code: int | None = None
    library_version: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one source said.

    Attributes:
        cuda_version: newest CUDA version the NVIDIA driver offers.
        tool_version: version of the tool itself where it differs from the driver's (``nvidia-smi``).
        attached: how many GPUs the source says are there.
        trouble: what stopped it; devices read before that are kept (`partial`).
    """

    devices: tuple[Sighting, ...] = ()
    driver_name: str | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    tool_version: str | None = None
    instance_version: str | None = None
    open_module: bool | None = None
    attached: int | None = None
    trouble: Trouble | None = None
    partial: bool = False


def bounded_lines(text: str, width: int = MAX_WIDTH) -> list[str]:
    """Split `text` into lines without trailing blanks, with a bound on their number and width.

    No tool prints more; the bound keeps a damaged or hostile recording from costing more than a moment.
    """
    return [line[:width].rstrip() for line in text[:MAX_TEXT].splitlines()[:MAX_LINES]]


def normalise_pci(text: str | None) -> str | None:
    """Write a PCI address as ``dddd:bb:dd.f`` in lower case, whatever tool printed it."""
    match = PCI.fullmatch((text or "").strip())
    if match is None:
        return None
    domain = (match[1] or "0000").lower()
    return f"{int(domain, 16):04x}:{match[2].lower():0>2}:{match[3].lower():0>2}.{match[4]}"


def pci_from_bdf(bdf: int, domain: int = 0) -> str | None:
    """Decode bus, device and function packed as ``bus << 8 | device << 3 | function`` (KFD, HSA)."""
    if not (0 <= bdf <= 0xFFFF and 0 <= domain <= 0xFFFFFFFF):  # noqa: PLR2004 - widths of the packed fields
        return None
    return f"{domain:04x}:{bdf >> 8:02x}:{bdf >> 3 & 0x1F:02x}.{bdf & 7}"


def whole_number(text: str | None) -> int | None:
    """Read a plain decimal number of sane length; anything else is None."""
    cleaned = (text or "").strip()
    return int(cleaned) if cleaned.isascii() and cleaned.isdigit() and len(cleaned) <= 20 else None  # noqa: PLR2004


def mib(text: str | None) -> int | None:
    """Read a size in MiB such as ``81559 MiB``, ``8192MiB`` or ``7979``."""
    match = re.fullmatch(r"(\d{1,9})(?:\.\d+)?\s*(?:Mi?B)?", (text or "").strip(), re.ASCII | re.IGNORECASE)
    return plausible_mib(int(match[1])) if match else None


def plausible_mib(value: int | None) -> int | None:
    """Return `value` unless no device could have that much memory (or none at all)."""
    return value if value is not None and 0 < value <= MAX_VRAM_MIB else None


def hex_id(text: str | int | None) -> str | None:
    """Write a 16-bit PCI id as ``0x740f``."""
    if isinstance(text, int):
        return f"0x{text:04x}" if 0 < text <= 0xFFFF else None  # noqa: PLR2004 - a 16-bit id
    match = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{4})", (text or "").strip())
    return f"0x{match[1].lower()}" if match else None


def dotted(text: str | None) -> str | None:
    """Return `text` when it is a dotted version number such as ``590.48.01``, else None."""
    cleaned = (text or "").strip()
    return cleaned if re.fullmatch(r"\d{1,5}(\.\d{1,5}){1,3}", cleaned, re.ASCII) else None


def compute_capability(text: str | None) -> str | None:
    """Return `text` when it is a compute capability such as ``9.0``, else None."""
    cleaned = (text or "").strip()
    return cleaned if re.fullmatch(r"\d{1,2}\.\d", cleaned, re.ASCII) else None


def stated(text: str | None) -> str | None:
    """Return a printed value, or None when the tool printed one of its ways to say "not available"."""
    cleaned = (text or "").strip()
    absent = {"", "N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", "Unknown", "[REDACTED]", "None"}
    return None if cleaned in absent else cleaned


def split_target(text: str | None) -> tuple[str | None, str | None]:
    """Split ``gfx90a:sramecc+:xnack-`` into processor and features; both None for anything else."""
    match = re.fullmatch(r"(gfx[0-9]{1,4}[0-9a-f])((?::[a-z0-9]{1,16}[+-])*)", (text or "").strip(), re.ASCII)
    return (match[1], match[2][1:] or None) if match else (None, None)
