"""Tries a shared cache as a build would use it: seal, keep, fetch, open."""

from __future__ import annotations

import secrets
import time

import msgspec

from buildtool.errors import GpubuildError
from buildtool.share.depot import open_depot
from buildtool.share.guard import GivenUpError, Guard
from buildtool.share.seal import seal, unseal
from buildtool.share.settings import Setting

NAME = "trial/gpubuild"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it works, with times in milliseconds; `problem` says what is wrong."""

    works: bool
    put_ms: int = 0
    get_ms: int = 0
    problem: str = ""


def trial(setting: Setting) -> Trial:
    """Try a cache; never raises because of it."""
    body = secrets.token_bytes(1024)
    guard = Guard()
    try:
        depot = open_depot(setting.url)
        began = time.monotonic()
        guard.call(lambda: depot.put(NAME, seal(setting.secret, NAME, body)))
        kept = time.monotonic()
        stored = guard.call(lambda: depot.get(NAME))
        fetched = time.monotonic()
    except GivenUpError as error:
        return Trial(works=False, problem=str(error))
    except GpubuildError as error:
        return Trial(works=False, problem=f"{error.what} {error.hint}".strip())
    if stored is None or unseal(setting.secret, NAME, stored) != body:
        return Trial(works=False, problem="it gives back something else than it was given")
    return Trial(works=True, put_ms=round(1000 * (kept - began)), get_ms=round(1000 * (fetched - kept)))
