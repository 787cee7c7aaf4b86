"""Fetch files whose sha256 is known: resumed after a kill, retried with patience, checked, renamed into place.

Layout below the cache: ``downloads/<sha256>/<filename>``, with ``.part`` appended until the hash was right.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import filelock
import msgspec

from buildtool.errors import GpubuildError, IntegrityError, InvalidInputError, NetworkError
from buildtool.store.address import split_address
from buildtool.store.digest import sha256_of
from buildtool.store.index import OFFLINE_HINT, Index
from buildtool.store.lengths import read_length
from buildtool.store.paths import cache_root
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import delete_tree, require_space, storage_errors

CHUNK = 1 << 20
BARREN_ATTEMPTS = 5  # in a row, without a single new byte
MAX_ATTEMPTS = 50
BACKOFF_S = 0.5
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
PARTIAL, RANGE_REFUSED = 206, 416
SCHEMES = frozenset({"http", "https", "file"})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file to fetch: its name, its sha256 (lower-case hex), and where it may lie, best place first."""

    filename: str
    sha256: str
    urls: tuple[str, ...]


def file_name(url: str) -> str:
    """Return the name under which a file is kept that lies at an address: without its query, and readable."""
    return Path(urllib.parse.unquote(split_address(url).path)).name or "download"


def locate(index: Index, name: str, filename: str, sha256: str) -> Wanted:
    """Find a pinned file of package `name` in the configured registries.

    Raises:
        NetworkError: no registry offers it.
        IntegrityError: registries offer a file of that name, but only with other content.
    """
    offers = [file for file in index.files(name) if file.filename == filename]
    if not offers:
        what = f"No configured package registry offers {filename}."
        raise NetworkError(what, why=f"They know {name}, but not this file.", hint=OFFLINE_HINT)
    fitting = [file for file in offers if file.sha256 in {None, sha256}]
    if not fitting:
        what = f"The registry's {filename} is not the pinned file."
        why = f"Its sha256 is {offers[0].sha256}, pinned is {sha256}."
        raise IntegrityError(what, why=why, hint="Do not use it: ask who runs the registry.")
    fitting.sort(key=lambda file: not file.url.startswith("file:"))
    return Wanted(filename=filename, sha256=sha256, urls=tuple(file.url for file in fitting))


class Downloads:
    """The folder of downloads, shared by concurrent runs."""

    def __init__(self, index: Index, root: Path | None = None, progress: Progress | None = None) -> None:
        """Keep downloads below `root` (default: the user's cache) and fetch through `index`'s connection."""
        self._index = index
        self._root = root or cache_root() / "downloads"
        self._progress = progress or Silent()

    @contextmanager
    def fetched(self, wanted: Wanted) -> Iterator[Path]:
        """Yield the verified file; it is deleted after the block ends well, and kept for the next try otherwise.

        Raises:
            NetworkError: no place could be reached.
            IntegrityError: the bytes are not the pinned ones.
            StorageError: the disk is full or cannot be written.
        """
        folder = self._root / wanted.sha256
        with storage_errors(folder, wanted.filename):
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(f"{folder}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                self._progress.note(f"waiting for another gpubuild run that downloads {wanted.filename}")
                lock.acquire()
        try:
            with storage_errors(folder, wanted.filename):
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / wanted.filename
                if not path.exists() or sha256_of(path) != wanted.sha256:
                    path.unlink(missing_ok=True)
                    self._fetch(wanted, path)
            yield path
            delete_tree(folder)
        finally:
            lock.release()

    def measure(self, url: str) -> Wanted:
        """Fetch a file whose hash nobody has pinned yet, and return it pinned; its bytes stay for `fetched`.

        Raises:
            GpubuildError: as `fetched`.
        """
        filename = file_name(url)
        folder = self._root / f"unpinned-{hashlib.sha256(url.encode()).hexdigest()}"
        with storage_errors(folder, filename), filelock.FileLock(f"{folder}.lock"):
            delete_tree(folder)
            folder.mkdir(parents=True)
            digest = self._receive(url, folder / filename)
            home = self._root / digest
            with filelock.FileLock(f"{home}.lock"):
                home.mkdir(parents=True, exist_ok=True)
                (folder / filename).replace(home / filename)
            delete_tree(folder)
        return Wanted(filename=filename, sha256=digest, urls=(url,))

    def _fetch(self, wanted: Wanted, path: Path) -> None:
        part = path.with_name(path.name + ".part")
        failures: list[GpubuildError] = []
        for url in wanted.urls:
            resumed = part.exists()
            try:
                digest = self._receive(url, part)
                if digest != wanted.sha256 and resumed:
                    part.unlink()  # the earlier part was not of this file
                    digest = self._receive(url, part)
            except NetworkError as error:
                failures.append(error)
                continue
            if digest == wanted.sha256:
                part.replace(path)
                return
            size = part.stat().st_size
            part.unlink()
            what = f"{wanted.filename} is not the pinned file."
            why = f"Its sha256 is {digest} ({size} bytes), pinned is {wanted.sha256}."
            hint = "Try again; if it stays so, the registry's copy was changed: do not use it."
            failures.append(IntegrityError(what, why=why, hint=hint))
        raise next((error for error in failures if isinstance(error, IntegrityError)), failures[0])

    def _receive(self, url: str, path: Path) -> str:
        """Bring the file at `path` to completion and return its sha256."""
        address = split_address(url)
        if address.scheme not in SCHEMES:
            what = f"{url!r} cannot be fetched."
            raise InvalidInputError(what, why=f"Only {', '.join(sorted(SCHEMES))} addresses can.")
        with _Part(path, self._progress) as part:
            if address.scheme == "file":
                _copy(Path(urllib.request.url2pathname(address.path)), part)
            else:
                _stream(self._index, url, part)
        return part.digest.hexdigest()


class _Part:
    """A file that grows by appending, with the hash of everything in it."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self._progress = path, progress
        self.size, self.digest = 0, hashlib.sha256()
        self._label = path.name.removesuffix(".part")
        self._started = False

    def __enter__(self) -> Self:
        self._out = self.path.open("a+b")
        self._out.seek(0)
        while data := self._out.read(CHUNK):
            self.digest.update(data)
            self.size += len(data)
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        if self._started:
            self._progress.done()

    def expect(self, total: int | None) -> None:
        """Learn how large the whole file will be, and refuse it when it cannot fit."""
        if total is not None:
            require_space(self.path, total - self.size, self._label)
        if not self._started:
            self._progress.start(self._label, total)
            self._progress.advance(self.size)
            self._started = True

    def restart(self) -> None:
        if self._started:
            self._progress.advance(-self.size)
        self._out.truncate(0)
        self.size, self.digest = 0, hashlib.sha256()

    def append(self, data: bytes) -> None:
        self._out.write(data)
        self.digest.update(data)
        self.size += len(data)
        self._progress.advance(len(data))


def _copy(origin: Path, part: _Part) -> None:
    part.restart()
    try:
        stream = origin.open("rb")
    except OSError as error:
        what = f"{origin} cannot be read."
        raise NetworkError(what, why=error.strerror or str(error), hint=OFFLINE_HINT) from error
    with stream:
        part.expect(os.fstat(stream.fileno()).st_size)
        while data := stream.read(CHUNK):
            part.append(data)


def _stream(index: Index, url: str, part: _Part) -> None:
    import httpx2

    barren = 0
    for _ in range(MAX_ATTEMPTS):
        before = part.size
        try:
            _attempt(index, url, part)
        except (httpx2.TransportError, _TryAgainError) as error:
            barren = 0 if part.size > before else barren + 1
            reason = f"{type(error).__name__.strip('_')}: {error}"
            if barren == BARREN_ATTEMPTS:
                break
            time.sleep(BACKOFF_S * 2**barren)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error)
            break
        else:
            return
    what = f"{_without_password(url)} could not be fetched."
    raise NetworkError(what, why=reason, hint=OFFLINE_HINT)


class _TryAgainError(Exception):
    """The server answered with a passing trouble."""


def _attempt(index: Index, url: str, part: _Part) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
    with index.session.get_stream(url, headers=headers) as response:
        if response.status_code == RANGE_REFUSED and part.size:
            return  # nothing is left to send; the hash decides whether that is so
        if response.status_code in RETRIED_STATUS:
            raise _TryAgainError(f"{response.status_code} {response.reason_phrase}")  # noqa: EM102, TRY003
        response.raise_for_status()
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if response.status_code != PARTIAL or start is None or int(start[1]) != part.size:
            part.restart()
        length = read_length(response.headers.get("Content-Length", ""))
        part.expect(part.size + length if length is not None else None)
        for data in response.iter_raw(CHUNK):
            part.append(data)


def _without_password(url: str) -> str:
    address = urllib.parse.urlsplit(url)
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
