"""From a merged sighting to a `Device`: what follows from tables is added, what cannot be true is dropped."""

from __future__ import annotations

from buildtool.probe import chips
from buildtool.probe.merge import Sourced
from buildtool.probe.model import Device
from buildtool.probe.sighting import VENDOR_IDS, Sighting

PASSED_THROUGH = {"vfio-pci", "pci-stub", "xen-pciback"}
NVIDIA_DRIVERS = {"nvidia", "nvgpu"}


def complete(sourced: Sourced, driver: str | None) -> tuple[Device, tuple[str, ...]]:
    """Return the device and what the user should know about it.

    Args:
        sourced: the merged sighting.
        driver: version of the vendor's kernel driver, where the sighting has none.
    """
    seen = sourced.sighting
    product = chips.product(seen.vendor, seen.device_id) if seen.device_id else None
    chip = product.chip if product else seen.chip or ""
    name = _name(seen, product)
    warnings: list[str] = []
    target, capability, integrated = seen.arch, seen.compute_capability, seen.integrated
    if seen.vendor == "nvidia":
        row = chips.nvidia_chip(chip) or (chips.nvidia_product_chip(seen.name) if seen.name else None)
        capability = capability or (row.compute_capability if row else None)
        target = f"sm_{capability.replace('.', '')}" if capability else None
        integrated = row.integrated if integrated is None and row else integrated
    elif seen.vendor == "amd":
        silicon = chips.amd_chip(chip) or (chips.amd_chip(seen.name) if seen.name else None)
        target = target or (silicon.arch if silicon else None)
        warnings += _override(seen, silicon)
        row_of_target = chips.amd_arch_chip(target) if target else None
        integrated = row_of_target.integrated if integrated is None and row_of_target else integrated
        target = f"{target}:{seen.features}" if target and seen.features else target
    if seen.vram_suspect:
        warnings.append(
            f"{sourced.source} says that {name} has {seen.vram_mib} MiB of memory, which cannot be right; ignored."
        )
    warnings += _state(seen, name, target)
    return (
        Device(
            vendor=seen.vendor,
            name=name,
            target=target,
            compute_capability=capability,
            vram_mib=None if seen.vram_suspect else seen.vram_mib,
            pci=seen.pci,
            driver=seen.driver or (None if seen.kernel_driver in PASSED_THROUGH else driver),
            source=sourced.source,
            integrated=integrated,
            index=seen.index,
            device_id=_full_id(seen),
            usable=not seen.excluded and seen.kernel_driver not in PASSED_THROUGH,
            mig_vram_mib=tuple(part.vram_mib for part in seen.mig if part.vram_mib is not None),
        ),
        tuple(warnings),
    )


def _name(seen: Sighting, product: chips.Product | None) -> str:
    if seen.name and not seen.name_truncated:
        return seen.name
    listed = (product.name or product.chip) if product else None
    return listed or seen.name or f"{_brand(seen)} GPU" + (f" {seen.device_id}" if seen.device_id else "")


def _brand(seen: Sighting) -> str:
    return {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}.get(seen.vendor, "unknown")


def _full_id(seen: Sighting) -> str | None:
    vendors: dict[str, int] = {"nvidia": 0x10DE, "amd": 0x1002, "intel": 0x8086}
    if seen.device_id is None or vendors.get(seen.vendor) not in VENDOR_IDS:
        return None
    return f"{vendors[seen.vendor]:04x}:{seen.device_id.removeprefix('0x')}"


def _override(seen: Sighting, silicon: chips.AmdChip | None) -> list[str]:
    if seen.arch is None or silicon is None or silicon.arch == seen.arch or seen.device_id is None:
        return []
    text = (
        f"The device {seen.device_id} is {silicon.arch} silicon but reports {seen.arch}: "
        "HSA_OVERRIDE_GFX_VERSION seems to be set. Unset it to build for the real target."
    )
    return [text]


def _state(seen: Sighting, name: str, target: str | None) -> list[str]:
    warnings: list[str] = []
    if seen.excluded:
        warnings.append(f"{name} is excluded by the NVIDIA driver (NVreg_ExcludedGpus) and cannot be used.")
    if seen.powered_off:
        warnings.append(f"{name} is powered off: wake it (prime-run, or disable runtime power management).")
    if seen.err:
        warnings.append(f"{name} reports ERR! for a sensor: check it before trusting results.")
    if seen.kernel_driver in PASSED_THROUGH:
        warnings.append(f"{name} is bound to {seen.kernel_driver}: reserved for a virtual machine.")
    elif seen.vendor == "nvidia" and seen.kernel_driver and seen.kernel_driver not in NVIDIA_DRIVERS:
        warnings.append(
            f"{name} is driven by {seen.kernel_driver}, which runs no CUDA: install NVIDIA's driver to use it."
        )
    if target is None and seen.vendor in {"nvidia", "amd"}:
        warnings.append(f"The target of {name} is not known: name it with --target, or in GPUBUILD_DEVICES.")
    return warnings
