"""An index to take from: a folder, or a web server; every file is compared with the catalogue before it is used."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from buildtool.errors import IntegrityError, InvalidInputError, NetworkError
from buildtool.index.collect import LARGEST_CATALOGUE, catalogue_of, load_catalogue
from buildtool.index.model import CATALOGUE, Catalogue, IndexedWheel
from buildtool.store.address import split_address
from buildtool.store.digest import sha256_of
from buildtool.store.download import Downloads, Wanted
from buildtool.store.index import Index
from buildtool.store.paths import expanded
from buildtool.store.progress import Progress
from buildtool.store.storage import storage_errors


class Shelf:
    """An open index: its catalogue, and its files into a folder of the caller's."""

    def __init__(self, where: str, catalogue: Catalogue, index: Index | None) -> None:
        """Keep what `open_shelf` found."""
        self.where = where
        self.catalogue = catalogue
        self._index = index

    def __enter__(self) -> Self:
        """Begin a block at whose end the connection is closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self._index is not None:
            self._index.__exit__(kind, error, trace)

    @property
    def installer_options(self) -> tuple[str, ...]:
        """What an installer must be told to find the vendor's libraries, when the index carries them."""
        if all(wheel.role != "other" for wheel in self.catalogue.wheels):
            return ()
        return ("--find-links", self.where) if self._index is None else ("--extra-index-url", f"{self.where}/simple/")

    def fetch(self, wheels: tuple[IndexedWheel, ...], into: Path, progress: Progress | None = None) -> tuple[Path, ...]:
        """Bring wheels into a folder, verified.

        Raises:
            IntegrityError: a file is not the one that the catalogue names.
            NetworkError, StorageError: it cannot be had or written.
        """
        return tuple(self._fetch(wheel, into / wheel.filename, progress) for wheel in wheels)

    def _fetch(self, wheel: IndexedWheel, target: Path, progress: Progress | None) -> Path:
        with storage_errors(target.parent, wheel.filename, needed=wheel.bytes), ExitStack() as stack:
            if self._index is None:
                source = Path(self.where) / wheel.filename
            else:
                url = f"{self.where}/{quote(wheel.filename)}"
                wanted = Wanted(filename=wheel.filename, sha256=wheel.sha256, urls=(url,))
                source = stack.enter_context(Downloads(self._index, progress=progress).fetched(wanted))
            try:
                shutil.copyfile(source, target)
            except FileNotFoundError as error:
                what = f"The index has no file {wheel.filename}, though its catalogue names it."
                raise IntegrityError(what, hint=f"Index again: gpubuild index build {self.where}") from error
        found = sha256_of(target)  # of the copy that will be installed, which nobody else can change
        if found != wheel.sha256:
            target.unlink()
            what = f"{wheel.filename} is not the file that the index names."
            why = f"Its sha256 is {found}, the catalogue says {wheel.sha256}."
            raise IntegrityError(what, why=why, hint="It was changed after it was indexed. Nothing was installed.")
        return target


def open_shelf(where: str) -> Shelf:
    """Open an index by its folder or address.

    Raises:
        InvalidInputError: there is no index, or one that this gpubuild does not read.
        NetworkError: it cannot be reached.
    """
    address = split_address(where)
    if address.scheme in {"http", "https"}:
        return _over_http(where.removesuffix("/index.html").rstrip("/"))
    if "://" in where and address.scheme != "file":
        what = f"{where!r} is no index."
        raise InvalidInputError(what, hint="Name a folder, or an address that begins with http:// or https://.")
    folder = expanded(where.removeprefix("file://"))
    path = folder / CATALOGUE
    if not path.is_file():
        what = f"There is no index in {folder}."
        raise InvalidInputError(what, hint=f"Write it first: gpubuild index build {folder}")
    return Shelf(str(folder.absolute()), catalogue_of(folder), None)


def _over_http(url: str) -> Shelf:
    import httpx2

    index = Index()
    place = f"{url}/{CATALOGUE}"
    try:
        data = _received(index, place)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        index.__exit__(None, None, None)
        what = f"The index {url} could not be read."
        hint = "Check the address: it is that of the page, without index.html."
        raise NetworkError(what, why=f"{type(error).__name__}: {error}", hint=hint) from error
    try:
        return Shelf(url, load_catalogue(data, place), index)
    except InvalidInputError:
        index.__exit__(None, None, None)
        raise


def _received(index: Index, place: str) -> bytes:
    """Return a catalogue from a server; of one that does not end, as much as a catalogue may have."""
    received = bytearray()
    with index.session.get_stream(place, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes(1 << 16):
            received += piece
            if len(received) > LARGEST_CATALOGUE:
                break
    return bytes(received[:LARGEST_CATALOGUE])
