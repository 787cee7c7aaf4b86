"""Cards by the names people write: ``RX 6600``, ``rtx5090``, ``Tesla K80``, ``780M``, ``Strix Halo``."""

from __future__ import annotations

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
_WORD = re.compile(r"\d+x*[a-z]?(?![a-z0-9])|\d+x+|\d+|[a-z]+")
_LIKE_TARGET = re.compile(r"(?:gfx|sm_?|compute_?)\d", re.IGNORECASE)


def device_target(name: str) -> Target:
    """Return the target of a card.

    Raises:
        UnknownNameError: no card of that name is known, or several with different targets; names the candidates.
    """
    exact = _by_pci_names(name)
    if exact is not None:
        return exact
    wanted = _words(name)
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


def _by_pci_names(name: str) -> Target | None:
    from buildtool.probe.chips import nvidia_product_chip

    chip = nvidia_product_chip(name)
    return parse_target(chip.compute_capability)[0] if chip is not None else None


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
    return frozenset(_WORD.findall(name.lower())) - BRANDS


def _fit(wanted: frozenset[str], product: frozenset[str]) -> int:
    """Return how many words of a product a name bears; 0 unless one of the two holds the other."""
    if not wanted or not product:
        return 0
    shared = {word for word in product if any(_same(one, word) for one in wanted)}
    held = all(any(_same(one, word) for word in product) for one in wanted)
    telling = any(len(word) > 2 or word.isdigit() for word in shared)  # noqa: PLR2004 - "rx" alone tells nothing
    return len(shared) if telling and (held or shared == product) else 0


def _same(wanted: str, word: str) -> bool:
    """Whether two words agree; ``5xx`` in a table stands for any such number."""
    if re.fullmatch(r"\d+xx+", word):
        return re.fullmatch(word.replace("x", r"\d"), wanted) is not None
    return wanted == word


def _unclear(name: str, found: dict[str, str]) -> UnknownNameError:
    if found:
        what = f"{name!r} can be several cards."
        details = tuple(f"{target}: {product}" for target, product in sorted(found.items()))
        return UnknownNameError(what, hint="Name the card in full, or its target: --target TARGET.", details=details)
    near = suggest(name, {product for _, product in _products()})
    what = f"Nobody knows a card {name!r}."
    hint = f"Did you mean {' or '.join(near)}?" if near else "Name its target instead: --target sm_90 or gfx1032."
    return UnknownNameError(what, hint=hint)
