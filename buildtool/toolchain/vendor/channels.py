"""The kinds of server that toolkits come from, and where the user says which one: an option or the environment."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from buildtool.compat.vendor import SERVERS
from buildtool.errors import InvalidInputError, NetworkError
from buildtool.store.address import split_address

SCHEMES = ("http://", "https://", "file://")


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of server.

    Attributes:
        provider: what a plan calls it.
        title: what people call its content.
        variable: the environment variable that names its address.
        option: the same as an option of ``gpubuild toolchain install``.
        where: what the address is of, for the message when it is missing.
    """

    provider: str
    title: str
    variable: str
    option: str
    where: str


REDIST = Channel(
    provider="redist",
    title=SERVERS["redist"],
    variable="GPUBUILD_CUDA_REDIST",
    option="--cuda-redist",
    where="the folder with redistrib_<version>.json, at NVIDIA or in a copy",
)
THEROCK = Channel(
    provider="therock",
    title=SERVERS["therock"],
    variable="GPUBUILD_THEROCK",
    option="--therock",
    where="the folder or bucket with therock-dist-<system>-<family>-<version>.tar.gz, AMD's or a copy",
)
THEROCK_WHEELS = Channel(
    provider="therock-wheels",
    title=SERVERS["therock-wheels"],
    variable="GPUBUILD_THEROCK_INDEX",
    option="--therock-index",
    where="the package index with AMD's rocm and rocm-sdk-*, AMD's own or a copy",
)
CHANNELS = (REDIST, THEROCK, THEROCK_WHEELS)


def address(channel: Channel, given: str | None = None) -> str | None:
    """Return the address of a channel without a slash at its end: what was given, else the environment's, else None.

    Raises:
        InvalidInputError: it is neither an address nor the absolute path of a folder.
    """
    text = (given or os.environ.get(channel.variable) or "").strip().rstrip("/")
    if not text:
        return None
    if text.startswith("/"):
        return Path(text).as_uri()
    if not text.startswith(SCHEMES):
        what = f"{text!r} is not an address to fetch {channel.title} from."
        hint = f"Give {channel.variable} (or {channel.option}) an address that begins with {', '.join(SCHEMES)}."
        raise InvalidInputError(what, hint=hint)
    split_address(text)
    return text


def required_address(channel: Channel, given: str | None = None) -> str:
    """Return the address of a channel.

    Raises:
        NetworkError: nobody named one.
        InvalidInputError: as `address`.
    """
    found = address(channel, given)
    if found is None:
        what = f"Nothing says where to fetch {channel.title} from."
        raise NetworkError(what, hint=f"Name it: export {channel.variable}=<address of {channel.where}>.")
    return found
