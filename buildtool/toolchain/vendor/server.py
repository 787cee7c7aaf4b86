"""Asking a vendor's server: the names it lists, and small files; what it answers is a stranger's."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NoReturn

import msgspec

from buildtool.errors import IntegrityError, NetworkError
from buildtool.store.index import OFFLINE_HINT, Index
from buildtool.store.lengths import read_length
from buildtool.store.registry import Registry, configured_registry
from buildtool.toolchain.vendor.channels import THEROCK_WHEELS, Channel

LARGEST_BYTES = 16 << 20
GONE = (403, 404, 410)  # object stores answer 403 for what is not there
# A folder as web servers show it, and as object stores do (S3's ListBucketResult).
_LINK = re.compile(r"""<a\b[^>]*?\bhref\s*=\s*["']([^"'?#]+)["'?#]""", re.IGNORECASE)
_KEY = re.compile(r"<Key>([^<]+)</Key>")


class GoneError(NetworkError):
    """The server is there, the file is not."""


class Server:
    """One channel at one address."""

    def __init__(self, channel: Channel, url: str, index: Index) -> None:
        """Ask `url`, which has no slash at its end, through `index`'s connection."""
        self.channel, self.base = channel, url
        self._index = index

    def url(self, path: str) -> str:
        """Return the address of a file below this server's."""
        return f"{self.base}/{urllib.parse.quote(path, safe='/+~')}"

    def names(self) -> tuple[str, ...]:
        """Return the names of the files and folders that the server lists, without those further down.

        Raises:
            NetworkError: it cannot be reached, or shows no list.
        """
        if self.base.startswith("file:"):
            try:
                return tuple(sorted(entry.name for entry in _local(self.base).iterdir()))
            except OSError as error:
                self._refuse("", error.strerror or str(error))
        return listed(self.text(""))

    def text(self, path: str) -> str:
        """Return a small file's text; "" is the server's list.

        Raises:
            GoneError: there is no such file.
            NetworkError: the server cannot be reached, or refuses.
            IntegrityError: the file is larger than such a file can be.
        """
        if self.base.startswith("file:"):
            try:
                with _local(self.url(path)).open("rb") as stream:
                    data = stream.read(LARGEST_BYTES + 1)
            except FileNotFoundError as error:
                raise self._gone(path) from error
            except OSError as error:
                self._refuse(path, error.strerror or str(error))
        else:
            data = self._fetch(path)
        if len(data) > LARGEST_BYTES:
            what = f"{self.shown(path)} is larger than {LARGEST_BYTES} bytes."
            raise IntegrityError(what, hint="Check the address.")
        return data.decode("utf-8", "replace")

    def size(self, path: str) -> int:
        """Return how many bytes a file has, 0 when the server does not tell.

        Raises:
            GoneError: there is no such file.
            NetworkError: the server cannot be reached.
        """
        try:
            return size_at(self._index, self.url(path))
        except FileNotFoundError as error:
            raise self._gone(path) from error
        except OSError as error:
            self._refuse(path, str(error))

    def shown(self, path: str = "") -> str:
        """Return an address for people: without a password."""
        parts = urllib.parse.urlsplit(f"{self.base}/{path}")
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _fetch(self, path: str) -> bytes:
        import httpx2

        data = b""
        try:
            with self._index.session.get_stream(self.url(path)) as response:
                if response.status_code in GONE:
                    raise self._gone(path)
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > LARGEST_BYTES:
                        break
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            self._refuse(path, f"{type(error).__name__}: {error}")
        return data

    def _gone(self, path: str) -> GoneError:
        what = f"There is no {self.shown(path)}."
        return GoneError(what, hint=f"Check the address in {self.channel.variable}: of {self.channel.where}.")

    def _refuse(self, path: str, why: str) -> NoReturn:
        what = f"{self.channel.title} cannot be fetched from {self.shown(path)}."
        hint = f"{OFFLINE_HINT.partition(';')[0]}, and the address in {self.channel.variable} ({self.channel.option})."
        raise NetworkError(what, why=why, hint=hint)


def size_at(index: Index, url: str) -> int:
    """Return how many bytes a file has, 0 when the server does not tell.

    Raises:
        FileNotFoundError: there is none.
        OSError: the server cannot be reached.
    """
    import httpx2

    if url.startswith("file:"):
        return _local(url).stat().st_size
    try:
        response = index.session.head(url, headers={"Accept-Encoding": "identity"})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        message = f"{type(error).__name__}: {error}"
        raise OSError(message) from error
    if response.status_code in GONE:
        raise FileNotFoundError(url)
    length = read_length(response.headers.get("Content-Length", ""))
    return length if response.is_success and length is not None else 0


def index_of(channel: Channel, url: str) -> Registry | None:
    """Return the package index of a channel that is one: alone, so that no other answers for its names; else None."""
    if channel.provider != THEROCK_WHEELS.provider:
        return None
    return msgspec.structs.replace(configured_registry(), index_urls=(url,), find_links=(), use_default=False)


def listed(page: str) -> tuple[str, ...]:
    """Return the names in a page that shows a folder: a web server's links, or an object store's keys."""
    found = [urllib.parse.unquote(link).rstrip("/") for link in _LINK.findall(page)]
    found += _KEY.findall(page)
    return tuple(sorted({name.rpartition("/")[2] for name in found} - {"", ".", ".."}))


def _local(url: str) -> Path:
    return Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
