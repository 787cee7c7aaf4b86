"""Addresses that people write: one that cannot be taken apart is a wrong input."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from buildtool.errors import InvalidInputError


def split_address(url: str) -> SplitResult:
    """Take an address apart.

    Raises:
        InvalidInputError: it is none, such as ``https://[host/``, or its port is no number.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        what = f"{url!r} is no address."
        raise InvalidInputError(what, why=str(error), hint="Write it like https://host/path.") from error
    return parts
