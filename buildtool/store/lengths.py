"""How long something is, as the other side of a connection says."""

from __future__ import annotations

MOST_DIGITS = 18  # of a number of bytes that any disk could hold


def read_length(text: str) -> int | None:
    """Return the number in a ``Content-Length`` header, None when it is none that could be meant."""
    sound = text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
    return int(text) if sound else None
