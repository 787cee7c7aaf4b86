"""From a PCI id or a code name to the chip: its target, name and kind (tables in ``data/``)."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from buildtool.probe.model import Vendor
from buildtool.probe.tables import load_table

MIN_WORDS = 2  # "RTX PRO" says enough, "RTX" does not
NVIDIA_SUFFIXES = ("", "GLM", "GL", "BM", "M", "S")


class NvidiaChip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chips of one compute capability; `tegra` holds their device-tree names."""

    compute_capability: str
    names: tuple[str, ...]
    source: str
    integrated: bool = False
    tegra: tuple[str, ...] = ()


class NvidiaChips(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``nvidia_chips.toml``."""

    schema: int
    source: tuple[str, ...]
    chip: tuple[NvidiaChip, ...]


class AmdChip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chips of one LLVM processor; `integrated` is None where the processor is made both ways."""

    arch: str
    names: tuple[str, ...]
    source: str
    integrated: bool | None = None


class AmdChips(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``amd_chips.toml``."""

    schema: int
    source: tuple[str, ...]
    chip: tuple[AmdChip, ...]


class PciTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tables ``pci_nvidia.toml`` and ``pci_amd.toml``: device id to "CODE NAME [product]"."""

    schema: int
    source: str
    device: dict[str, str]


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A PCI device: its chip's code name and, where known, the product's name."""

    chip: str
    name: str | None


@lru_cache(maxsize=1)
def _nvidia() -> tuple[NvidiaChip, ...]:
    return load_table("nvidia_chips.toml", NvidiaChips).chip


@lru_cache(maxsize=1)
def _amd() -> tuple[AmdChip, ...]:
    return load_table("amd_chips.toml", AmdChips).chip


@lru_cache(maxsize=2)
def _pci(vendor: str) -> dict[str, str]:
    return load_table(f"pci_{vendor}.toml", PciTable).device


def nvidia_chip(text: str) -> NvidiaChip | None:
    """Return the row of a code name such as ``AD102`` or ``AD107GLM``."""
    token = re.split(r"[ /-]", text, maxsplit=1)[0]
    wanted = {token.removesuffix(suffix) for suffix in NVIDIA_SUFFIXES}
    return next((row for row in _nvidia() if wanted & set(row.names)), None)


def tegra_chip(compatible: str) -> NvidiaChip | None:
    """Return the row of a device-tree name such as ``tegra234``."""
    return next((row for row in _nvidia() if compatible in row.tegra), None)


def amd_chip(text: str) -> AmdChip | None:
    """Return the row of a code name such as ``Navi 23`` or ``Vega 10 XT``; the longest name that fits wins."""
    best: tuple[int, AmdChip] | None = None
    for row in _amd():
        for name in row.names:
            fits = re.match(rf"{re.escape(name)}(?=[ /]|$)", text) is not None
            if fits and (best is None or len(name) > best[0]):
                best = len(name), row
    return best[1] if best else None


def amd_arch_chip(arch: str) -> AmdChip | None:
    """Return the row of an LLVM processor."""
    return next((row for row in _amd() if row.arch == arch), None)


def amd_archs() -> tuple[str, ...]:
    """Return every LLVM processor of the table."""
    return tuple(row.arch for row in _amd())


def compute_capabilities() -> tuple[str, ...]:
    """Return every compute capability of the table."""
    return tuple(row.compute_capability for row in _nvidia())


def product(vendor: Vendor, device_id: str) -> Product | None:
    """Look up a PCI device id such as ``0x73ff``."""
    if vendor not in {"nvidia", "amd"}:
        return None
    text = _pci(vendor).get(device_id.removeprefix("0x").lower())
    if text is None:
        return None
    chip, _, name = text.partition(" [")
    return Product(chip=chip, name=name.removesuffix("]") or None)


def nvidia_product_chip(name: str) -> NvidiaChip | None:
    """Return the chip of a product name such as ``NVIDIA GeForce RTX 4090`` or ``NVIDIA H100 80GB HBM3``.

    A name that no product bears exactly is shortened word by word from its end; it is resolved only when all
    products that begin with what is left agree on the compute capability.
    """
    wanted = _words(name)
    products = [(words, text) for text in _pci("nvidia").values() for words in _product_names(text)]
    for length in range(len(wanted), 0, -1):
        start = wanted[:length]
        if not any(letter.isdigit() for letter in "".join(start)) and length < MIN_WORDS:
            return None
        exact = [text for words, text in products if words == start and length == len(wanted)]
        texts = exact or [text for words, text in products if words[:length] == start]
        chips = {row.compute_capability: row for text in texts if (row := nvidia_chip(text)) is not None}
        if chips:
            return next(iter(chips.values())) if len(chips) == 1 else None
    return None


def product_names() -> tuple[tuple[Vendor, str, str], ...]:
    """Return every product of the PCI tables: vendor, the chip's code name, and one name of the product.

    ``Navi 31 [Radeon RX 7900 XT/7900 XTX]`` are two; only the first of them bears the brand.
    """
    vendors: tuple[Vendor, ...] = ("nvidia", "amd")
    return tuple(
        (vendor, text.partition(" [")[0], name.strip())
        for vendor in vendors
        for text in _pci(vendor).values()
        for name in text.partition(" [")[2].removesuffix("]").split("/")
        if name.strip()
    )


def _product_names(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(_words(part) for part in text.partition(" [")[2].removesuffix("]").split(" / ") if part)


def _words(name: str) -> tuple[str, ...]:
    """Reduce the ways a product is written: brand words, "Laptop GPU" against "Mobile", case and hyphens."""
    words = name.lower().replace("laptop gpu", "mobile").replace("-", " ").replace("...", "").split()
    return tuple(word for word in words if word not in {"nvidia", "geforce", "quadro", "tesla"})
