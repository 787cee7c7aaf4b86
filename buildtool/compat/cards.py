"""A card as somebody names it: its target, or only Vulkan, and whether Vulkan would serve it too."""

from __future__ import annotations

import functools
import re
from importlib import resources

import msgspec

from buildtool.compat.devices import card_targets
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.targets import Target
from buildtool.errors import UnknownNameError

ANY = {"vulkan": "any card with a Vulkan driver", "cpu": "any processor"}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One card.

    Attributes:
        name: as it was written.
        target: what CUDA or ROCm builds for it; None where neither does.
        vulkan: whether it has a Vulkan driver.
    """

    name: str
    target: Target | None
    vulkan: bool


class _Cards(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    products: tuple[str, ...]
    family: str


class _Without(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    targets: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    card: tuple[_Cards, ...]
    without: tuple[_Without, ...]


@functools.cache
def _table() -> _Table:
    text = resources.files("buildtool.compat").joinpath("data", "vulkan_cards.toml").read_text("utf-8")
    return decode_table(text, _Table, "vulkan_cards.toml")


def find_cards(name: str) -> tuple[Card, ...]:
    """Return the card of a name; several for a list of targets (``sm_80;sm_90``). ``vulkan`` and ``cpu`` mean any.

    Raises:
        UnknownNameError: nobody knows such a card.
    """
    if name.strip().lower() in ANY:
        return (Card(name=name.strip().lower(), target=None, vulkan=name.strip().lower() == "vulkan"),)
    if _words(name) in _without_target():
        return (Card(name=name.strip(), target=None, vulkan=True),)
    targets = card_targets(name)
    unserved = {one for row in _table().without for one in row.targets}
    plain = name.strip() if len(targets) == 1 else ""
    return tuple(Card(name=plain or str(one), target=one, vulkan=one.chip not in unserved) for one in targets)


@functools.cache
def _without_target() -> frozenset[frozenset[str]]:
    return frozenset(_words(product) for row in _table().card for product in row.products)


def _words(name: str) -> frozenset[str]:
    words = re.findall(r"[a-z]+\d*[a-z]*|\d+", name.lower())
    return frozenset(words) - {"intel", "graphics", "r", "tm", "gpu"}


def all_unknown(errors: list[UnknownNameError]) -> UnknownNameError:
    """Join what is wrong with several names into one answer."""
    if len(errors) == 1:
        return errors[0]
    what = f"{len(errors)} cards are not known."
    details = tuple(f"{one.what} {one.hint}".strip() for one in errors)
    return UnknownNameError(
        what, hint="Name their targets instead (sm_90, gfx1032), or leave them out.", details=details
    )
