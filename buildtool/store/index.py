"""Find the files of a package in the configured registries, and open connections the way pip would."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import msgspec

from buildtool.errors import InvalidInputError, NetworkError
from buildtool.store.registry import Registry, configured_registry

if TYPE_CHECKING:
    from unearth import Package, PackageFinder
    from unearth.fetchers import Fetcher, PyPIClient

OFFLINE_HINT = (
    "Check the network or the proxy (HTTPS_PROXY); name another registry with GPUBUILD_INDEX_URL or pip's "
    "index-url, or a folder that holds the files with pip's find-links."
)


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file a registry offers. `sha256` is what the registry claims, None when it claims nothing."""

    filename: str
    version: str
    url: str
    sha256: str | None = None
    yanked: bool = False


def open_session(registry: Registry) -> PyPIClient:
    """Return an HTTP client that honours certificates, trusted hosts, proxies, netrc and keyrings.

    Raises:
        InvalidInputError: the configured certificate bundle cannot be read.
    """
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    options: dict[str, Any] = {"proxy": registry.proxy} if registry.proxy else {}
    return PyPIClient(
        trusted_hosts=registry.trusted_hosts,
        verify=_trust(registry) or True,
        timeout=registry.timeout_s,
        follow_redirects=True,
        auth=MultiDomainBasicAuth(index_urls=registry.index_urls),
        **options,
    )


def _trust(registry: Registry) -> ssl.SSLContext | None:
    if not registry.cert and not registry.client_cert:
        return None
    try:
        bundle = Path(registry.cert) if registry.cert else None
        context = ssl.create_default_context(
            cafile=str(bundle) if bundle and not bundle.is_dir() else None,
            capath=str(bundle) if bundle and bundle.is_dir() else None,
        )
        if registry.client_cert:
            context.load_cert_chain(registry.client_cert)
    except OSError as error:
        what = f"The certificate bundle {registry.cert or registry.client_cert} cannot be used."
        raise InvalidInputError(what, why=str(error), hint="Correct pip's `cert` option.") from error
    return context


class Index:
    """The configured registries, opened on first use."""

    def __init__(self, registry: Registry | None = None) -> None:
        """Use `registry`, or what pip is configured for."""
        self._registry = registry
        self._session: PyPIClient | None = None
        self._finder: PackageFinder | None = None

    def __enter__(self) -> Self:
        """Begin a block at whose end the connections are closed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
        self._session = self._finder = None

    @property
    def session(self) -> PyPIClient:
        """The HTTP client shared by look-ups and downloads."""
        if self._session is None:
            self._registry = self._registry or configured_registry()
            self._session = open_session(self._registry)
        return self._session

    def files(self, name: str) -> tuple[RemoteFile, ...]:
        """List every file the registries offer for package `name`, for all platforms.

        Raises:
            NetworkError: no registry could be reached, or none knows the package.
        """
        with _unearth_log() as refusals:
            found = [_remote(package) for package in self._all(name)]
        if not found:
            what = f"No configured package registry offers {name}."
            raise NetworkError(what, why="; ".join(refusals), hint=OFFLINE_HINT)
        return tuple(found)

    def _all(self, name: str) -> list[Package]:
        import httpx2

        try:
            return list(self._open_finder().find_all_packages(name, allow_yanked=True))
        except (httpx2.HTTPError, OSError) as error:
            what = f"The package registry could not be asked for {name}."
            raise NetworkError(what, why=f"{type(error).__name__}: {error}", hint=OFFLINE_HINT) from error

    def _open_finder(self) -> PackageFinder:
        if self._finder is None:
            from unearth import PackageFinder

            session = self.session
            assert self._registry is not None  # noqa: S101 - set by `session`
            default = [source["url"] for source in PackageFinder().sources] if self._registry.use_default else []
            indexes = [*default, *self._registry.index_urls]
            links = [link for link in self._registry.find_links if "://" in link or Path(link).exists()]
            if not indexes and not links:
                what = "pip's configuration forbids every package registry (no-index)."
                raise NetworkError(what, hint=OFFLINE_HINT)
            self._finder = PackageFinder(
                cast("Fetcher", session), index_urls=indexes, find_links=links, ignore_compatibility=True
            )
        return self._finder


def _remote(package: Package) -> RemoteFile:
    link = package.link
    claimed = (link.hash_option or {}).get("sha256")
    return RemoteFile(
        filename=link.filename,
        version=str(package.version),
        url=link.url_without_fragment,
        sha256=claimed[0].lower() if claimed else None,
        yanked=link.is_yanked,
    )


@contextmanager
def _unearth_log() -> Iterator[list[str]]:
    """Collect what the finder logs: it reports servers' refusals only there."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("unearth.collector"), Collect(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
