"""What the servers that the user named have for a machine; a plan without such a server asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildtool.errors import GpubuildError
from buildtool.probe.model import Offered
from buildtool.toolchain.vendor.channels import CHANNELS, Channel, address

if TYPE_CHECKING:
    from buildtool.store.index import Index
    from buildtool.toolchain.vendor.server import Server


def named(given: Mapping[str, str] | None = None) -> tuple[tuple[Channel, str], ...]:
    """Return the channels that have an address, by an option (`given`: provider to address) or by the environment.

    Raises:
        InvalidInputError: an address cannot be one.
    """
    found = ((channel, address(channel, (given or {}).get(channel.provider))) for channel in CHANNELS)
    return tuple((channel, url) for channel, url in found if url is not None)


def look(
    platform: str, given: Mapping[str, str] | None = None
) -> tuple[tuple[Offered, ...], tuple[GpubuildError, ...]]:
    """Ask every named server what it has.

    Args:
        platform: of the machine to build on (``linux-x86_64``).
        given: addresses that go before those of the environment, by provider.

    Returns:
        What is on offer, newest first, and why a server did not answer.

    Raises:
        InvalidInputError: an address cannot be one.
    """
    servers = named(given)
    if not servers:
        return (), ()
    from buildtool.store.index import Index
    from buildtool.toolchain.vendor.server import Server, index_of

    offers: list[Offered] = []
    failures: list[GpubuildError] = []
    for channel, url in servers:
        with Index(index_of(channel, url)) as index:
            try:
                offers += _offered(Server(channel, url, index), index, platform)
            except GpubuildError as error:
                failures.append(error)
    return tuple(offers), tuple(failures)


def _offered(server: Server, index: Index, platform: str) -> tuple[Offered, ...]:
    from buildtool.compat.vendor import REDIST_PLATFORMS
    from buildtool.toolchain.vendor import redist, therock, therock_wheels

    if server.channel.provider == "therock":
        return therock.offered(server.names(), platform)
    if server.channel.provider == "therock-wheels":
        return therock_wheels.offered(server, index, platform)
    names = redist.releases(server.names()) if platform in REDIST_PLATFORMS else ()
    return tuple(Offered(kind="cuda", provider="redist", version=version) for version in names)
