"""Where sealed objects are kept: Redis, S3, WebDAV or a folder, through OpenDAL, which sccache uses too."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from buildtool.errors import InvalidInputError, MissingToolError
from buildtool.store.address import split_address

FOLDER = "gpubuild-cache"
LARGEST = 256 << 20  # of an object; what is larger is not ours, and is not read into memory


class Depot(Protocol):
    """A place that keeps bytes under names. Both may raise anything when it is in trouble."""

    def get(self, name: str) -> bytes | None:
        """Return what is kept under a name, None when nothing is."""

    def put(self, name: str, data: bytes) -> None:
        """Keep something under a name."""


class _OpendalDepot:
    def __init__(self, scheme: str, options: dict[str, str]) -> None:
        import opendal

        self._missing = opendal.exceptions.NotFound
        self._operator = opendal.Operator(scheme, **options)

    def get(self, name: str) -> bytes | None:
        try:
            size = self._operator.stat(name).content_length
            return bytes(self._operator.read(name)) if size <= LARGEST else b""  # no seal, so it is refused
        except self._missing:
            return None

    def put(self, name: str, data: bytes) -> None:
        self._operator.write(name, data)


def open_depot(url: str) -> Depot:
    """Open a depot; nothing is sent yet.

    Raises:
        MissingToolError: OpenDAL is not installed.
        InvalidInputError: the address has options that the service does not take.
    """
    scheme, options = service(url)
    try:
        return _OpendalDepot(scheme, options)
    except ImportError as error:
        what = "The shared cache needs the package opendal, which is not installed."
        raise MissingToolError(what, hint='pip install "gpubuild[cache]"') from error
    except Exception as error:  # its own exceptions, which cannot be named without it
        what = f"{scheme} cannot be used with this address."
        raise InvalidInputError(what, why=str(error)) from error


def service(url: str) -> tuple[str, dict[str, str]]:
    """Return OpenDAL's name of the service and its options.

    Raises:
        InvalidInputError: it is no address.
    """
    address = split_address(url)
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(address.query).items()}
    user = {"username": unquote(address.username or ""), "password": unquote(address.password or "")}
    options |= {key: value for key, value in user.items() if value}
    place = address.netloc.rpartition("@")[2]
    if address.scheme in {"redis", "rediss"}:
        base = {"endpoint": f"{address.scheme}://{place}", "root": f"/{FOLDER}"}
        number = address.path.strip("/")
        return "redis", base | ({"db": number} if number else {}) | options
    if address.scheme == "s3":
        root = "/".join(filter(None, ["", address.path.strip("/"), FOLDER]))
        return "s3", {"bucket": place, "root": f"/{root.lstrip('/')}"} | options
    if address.scheme == "file":
        return "fs", {"root": f"{unquote(address.path).rstrip('/')}/{FOLDER}"} | options
    return "webdav", {"endpoint": f"{address.scheme}://{place}{address.path}", "root": f"/{FOLDER}"} | options
