"""Cards by the names people write: ``RX 6600``, ``rtx5090``, ``Tesla K80``, ``780M``, ``Strix Halo``."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from buildtool.compat import tables
from buildtool.compat.targets import Target, parse_target, parse_targets, split_list
from buildtool.compat.versions import suggest
from buildtool.errors import UnknownNameError

BRANDS = frozenset({
    "amd", "nvidia", "radeon", "geforce", "tesla", "quadro", "instinct",
    "graphics", "gpu", "igpu", "laptop", "mobile", "oem", "super", "ti",
})  # fmt: skip
# A number with "xx" for digits (tables only), with one letter that belongs to it (780M), by itself; or a word.
_WORD = re.compile(r"\d+xx+(?![a-z0-9])|\d+[a-z]?(?![a-z0-9])|\d+|[a-z]+")
_LIKE_TARGET = re.compile(r"(?:gfx|sm_?|compute_?)\d", re.IGNORECASE)


def device_target(name: str) -> Target:
    """Return the target of a card.

    Raises:
        UnknownNameError: no card of that name is known, or several with different targets; names the candidates.
    """
    wanted = _words(name)
    exact = _by_pci_names(name, wanted)
    if exact is not None:
        return exact
    best: dict[str, str] = {}
    best_size = 0
    for target, product in _products():
        size = _fit(wanted, _words(product))
        if size > best_size:
            best, best_size = {}, size
        if size and size == best_size:
            best.setdefault(target, product)
    if len(best) == 1:
        return parse_target(next(iter(best)))[0]
    raise _unclear(name, best)


def card_targets(name: str) -> tuple[Target, ...]:
    """Return the targets of a card's name, or those that are named as such: ``gfx1032``, ``sm_80;sm_90``.

    Raises:
        UnknownNameError: nobody knows such a card or target.
    """
    return parse_targets(split_list([name])) if is_target(name) else (device_target(name),)


def is_target(name: str) -> bool:
    """Whether somebody wrote targets where a card is asked for: ``gfx1032``, ``sm_80;sm_90``."""
    words = split_list([name])
    return bool(words) and all(_LIKE_TARGET.match(word) for word in words)


def products_of(target: Target) -> str:
    """Return cards that people know a target by, "" where the tables name none."""
    rows = tables.nvidia_targets() if target.platform == "cuda" else tables.amd_targets()
    row = rows.get(target.chip)
    return row.products if row is not None else ""


def _by_pci_names(name: str, wanted: frozenset[str]) -> Target | None:
    """Look a name up among the products of the PCI tables.

    Raises:
        UnknownNameError: products of several targets bear exactly this name, such as GT 1030.
    """
    from buildtool.probe.chips import nvidia_product_chip

    chip = nvidia_product_chip(name)
    if chip is not None:
        return parse_target(chip.compute_capability)[0]
    # Only the first of several names in an entry bears AMD's "RX".
    short = {"nvidia": wanted, "amd": wanted - {"rx"}}
    left_out = {"nvidia": frozenset[str](), "amd": frozenset({"rx"})}
    found = {
        target: f"{product} ({code})"
        for vendor, code, product in _pci_products()
        if short[vendor] and short[vendor] == _words(product) - left_out[vendor]
        and (target := _chip_target(vendor, code))
    }  # fmt: skip
    if len(found) > 1:
        raise _unclear(name, found)
    return parse_target(next(iter(found)))[0] if found else None


def _chip_target(vendor: str, code: str) -> str:
    """Return the target of a chip, "" where the tables have none for it."""
    from buildtool.probe.chips import amd_chip, nvidia_chip

    if vendor == "nvidia":
        row = nvidia_chip(code)
        name = f"sm_{row.compute_capability.replace('.', '')}" if row is not None else ""
        return name if name in tables.nvidia_targets() else ""
    chip = amd_chip(code)
    return chip.arch if chip is not None and chip.arch in tables.amd_targets() else ""


@functools.cache
def _pci_products() -> tuple[tuple[str, str, str], ...]:
    from buildtool.probe.chips import product_names

    return product_names()


@functools.cache
def _pci_numbers() -> frozenset[str]:
    """Return every number that a product of the PCI tables bears."""
    return frozenset(number for _, _, product in _pci_products() for number in re.findall(r"\d+", product))


def _products() -> Iterator[tuple[str, str]]:
    """Yield each product of the tables by itself: ``RX 6600/6650`` are two."""
    for row in tables.nvidia_targets().values():
        for product in _spelled(row.products):
            yield row.name, product
    for amd in tables.amd_targets().values():
        for product in _spelled(f"{amd.products}, {amd.chip.replace('/', ', ')}"):
            yield amd.name, product


def _spelled(products: str) -> Iterator[str]:
    for piece in re.sub(r"\(.*?\)", "", products).split(","):
        head, *others = piece.strip().split("/")
        if head:
            yield head
        prefix = head.rpartition(" ")[0]
        yield from (f"{prefix} {other}" if re.match(r"\d|[a-z]?\d", other) else other for other in others if other)


def _words(name: str) -> frozenset[str]:
    words = frozenset(_WORD.findall(name.lower())) - BRANDS
    if words & {"gtx", "rtx"}:  # "1660S" is a 1660 Super
        words = frozenset(re.sub(r"^(\d{4})s$", r"\1", word) for word in words)
    return words


def _fit(wanted: frozenset[str], product: frozenset[str]) -> int:
    """Return how many words of a product a name bears; 0 unless one of the two holds the other."""
    if not wanted or not product:
        return 0
    shared = {word for word in product if any(_same(one, word) for one in wanted)}
    held = all(any(_same(one, word) for word in product) for one in wanted)
    # "rx" alone tells nothing, nor does "jetson"
    telling = any((len(word) > 2 or word.isdigit()) and word != "jetson" for word in shared)  # noqa: PLR2004
    return len(shared) if telling and (held or shared == product) else 0


def _same(wanted: str, word: str) -> bool:
    """Whether two words agree; ``5xx`` in a table stands for every such number that a product bears."""
    if re.fullmatch(r"\d+xx+", word):
        return re.fullmatch(word.replace("x", r"\d"), wanted) is not None and wanted in _pci_numbers()
    return wanted == word


def _short(name: str) -> str:
    """Reduce a name to what tells cards apart: lower case, no brand, no spaces."""
    return re.sub(r"\b(?:nvidia|geforce|amd|radeon|tesla|quadro)\b|\W", "", name.lower())


def _unclear(name: str, found: dict[str, str]) -> UnknownNameError:
    if found:
        what = f"{name!r} can be several cards."
        details = tuple(f"{target}: {product}" for target, product in sorted(found.items()))
        return UnknownNameError(what, hint="Name the card in full, or its target: --target TARGET.", details=details)
    known = {_short(product): product for _, product in _products() if "xx" not in product}
    known |= {_short(product): product for _, _, product in _pci_products()}
    near = [known[one] for one in suggest(_short(name), known, cutoff=0.66) if one != _short(name)]
    what = f"Nobody knows a card {name!r}."
    hint = f"Did you mean {' or '.join(near)}?" if near else "Name its target instead: --target sm_90 or gfx1032."
    return UnknownNameError(what, hint=hint)
