"""Which shared cache is used: one address and one key, from the environment or a file of the user's."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import platformdirs

from buildtool.errors import InvalidInputError, StorageError
from buildtool.store.placing import write_whole

URL_VARIABLE = "GPUBUILD_REMOTE_CACHE"
KEY_VARIABLE = "GPUBUILD_REMOTE_CACHE_KEY"
SCHEMES = ("redis", "rediss", "s3", "http", "https", "file")
KEY_BYTES = 32
NONE = "none"
_SECRET = re.compile("key|secret|token|password|credential", re.IGNORECASE)  # options of OpenDAL's services


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shared cache: its address, the key that seals what is in it (hex), and where both were said."""

    url: str
    key: str
    source: str = ""

    @property
    def secret(self) -> bytes:
        """The key as bytes."""
        return bytes.fromhex(self.key)

    @property
    def shown(self) -> str:
        """The address without a password or another secret."""
        address = urlsplit(self.url)
        options = [(name, "..." if _SECRET.search(name) else value) for name, value in parse_qsl(address.query)]
        query = urlencode(options, safe="/:.")
        return address._replace(netloc=address.netloc.rpartition("@")[2], query=query).geturl()


def settings_path() -> Path:
    """Return the file that holds the setting."""
    return Path(platformdirs.user_config_path("gpubuild")) / "cache.json"


def current() -> Setting | None:
    """Return the setting that counts: the environment's before the file's; None without one.

    Raises:
        InvalidInputError: it cannot be used; says why.
    """
    url = os.environ.get(URL_VARIABLE, "")
    if url == NONE:
        return None
    if url:
        key = os.environ.get(KEY_VARIABLE, "")
        if not key and (kept := _kept()) is not None:
            key = kept.key
        if not key:
            what = f"{URL_VARIABLE} is set, and {KEY_VARIABLE} is not."
            raise InvalidInputError(what, hint="Set it to the key that gpubuild cache use has made, on every machine.")
        return checked(url, key, URL_VARIABLE)
    return _kept()


def _kept() -> Setting | None:
    path = settings_path()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Setting)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        what = f"{path} cannot be read."
        raise InvalidInputError(what, why=str(error), hint="Say it again: gpubuild cache use URL") from error
    return checked(found.url, found.key, str(path))


def holds_secret(url: str) -> bool:
    """Whether an address holds a password or another secret, so that it must not be written where others read.

    Raises:
        InvalidInputError: it is no address of a cache.
    """
    require_address(url)
    address = urlsplit(url)
    return bool(address.password) or any(_SECRET.search(name) for name, _ in parse_qsl(address.query))


def require_address(url: str) -> None:
    """Refuse what is no address of a cache.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        address = urlsplit(url)
        sound = address.scheme in SCHEMES and (
            bool(address.netloc) or (address.scheme == "file" and address.path != "")
        )
        _ = address.port
    except ValueError:
        sound = False
    if not sound:
        what = f"{url!r} is no address of a cache."
        hint = "Write it like redis://cache.lan:6379, s3://bucket/folder?region=eu-1, https://host/dav or file:///mnt/cache."
        raise InvalidInputError(what, hint=hint)


def checked(url: str, key: str, source: str) -> Setting:
    """Return a setting whose address and key have the right form.

    Raises:
        InvalidInputError: they have not.
    """
    require_address(url)
    try:
        length = len(bytes.fromhex(key))
    except ValueError:
        length = 0
    if length < KEY_BYTES:
        what = "The key of the shared cache is not one."
        raise InvalidInputError(what, why=f"It has at least {KEY_BYTES} bytes, in hexadecimal digits.")
    return Setting(url=url, key=key.lower(), source=source)


def keep(url: str, key: str | None) -> Setting:
    """Write the setting down for this user; the file is nobody else's to read. Without a key, the old or a new one.

    Raises:
        InvalidInputError: address or key are malformed.
        StorageError: it cannot be written.
    """
    if key is None:
        try:
            before = _kept()
        except InvalidInputError:
            before = None
        key = before.key if before is not None else secrets.token_hex(KEY_BYTES)
    path = settings_path()
    setting = checked(url, key, str(path))
    try:
        write_whole(path, msgspec.json.encode(msgspec.structs.replace(setting, source="")), mode=0o600)
    except OSError as error:
        what = f"{path} cannot be written."
        raise StorageError(what, why=error.strerror or str(error)) from error
    return setting


def forget() -> bool:
    """Delete the setting; return whether there was one."""
    path = settings_path()
    there = path.exists()
    path.unlink(missing_ok=True)
    return there
