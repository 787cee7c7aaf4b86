"""What waits in the user's cache for the one step that needs root: a folder and an order, named by a digest."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from buildtool.deploy.disk import digest
from buildtool.deploy.order import Order
from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.store.paths import cache_root
from buildtool.store.storage import delete_tree

ORDER = "order.json"


def waiting_place() -> Path:
    """Return a new folder of the user's cache in which something may wait for root's step."""
    place = cache_root() / "ollama" / secrets.token_hex(4)
    place.mkdir(parents=True)
    return place


def leave(place: Path, order: Order) -> str:
    """Write an order down beside what waits, and return the digest that names both."""
    file = place / ORDER
    file.write_bytes(msgspec.json.format(msgspec.json.encode(order), indent=1))
    return digest(file)


def pick_up(place: Path, sha256: str) -> Order:
    """Read an order that waits, and make sure that nobody changed it or what it names.

    Raises:
        InvalidInputError: there is none.
        IntegrityError: its bytes, or those of its folder, are others.
    """
    file = place / ORDER
    if not file.is_file():
        what = f"{place} holds nothing that waits."
        raise InvalidInputError(what, hint="Run gpubuild ollama enable again, without --staged.")
    what = f"What waits in {place} is not what was made."
    if digest(file) != sha256:
        raise IntegrityError(what, why=f"The sha256 of {ORDER} is not {sha256}.")
    try:
        order = msgspec.json.decode(file.read_bytes(), type=Order)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(what, why=f"{ORDER} is not of this gpubuild: {error}") from error
    if order.staged.runner and digest(Path(order.staged.folder)) != order.sha256:
        raise IntegrityError(what, why=f"{order.staged.folder} was changed.")
    return order


def forget(place: Path) -> None:
    """Delete what waited."""
    delete_tree(place)
