"""What the shared cache did over all builds: a small file in the cache directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from buildtool.share.relay import Tally
from buildtool.store.paths import cache_root
from buildtool.store.placing import write_whole


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Builds and their counts, by address (without passwords)."""

    builds: dict[str, int] = {}
    tallies: dict[str, Tally] = {}


def _path() -> Path:
    return cache_root() / "share.json"


def load() -> Record:
    """Return the record; an empty one where there is none, or a damaged one."""
    try:
        return msgspec.json.decode(_path().read_bytes(), type=Record)
    except (OSError, ValueError):
        return Record()


def add(address: str, tally: Tally) -> None:
    """Add a build's counts; statistics that cannot be written are let go."""
    from filelock import FileLock

    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            before = load()
            old = before.tallies.get(address, Tally())
            record = Record(
                builds=before.builds | {address: before.builds.get(address, 0) + 1},
                tallies=before.tallies | {address: _sum(old, tally)},
            )
            write_whole(path, msgspec.json.encode(record))
    except OSError:
        return


def _sum(old: Tally, new: Tally) -> Tally:
    numbers = {name: getattr(old, name) + getattr(new, name) for name in Tally.__struct_fields__ if name != "trouble"}
    return Tally(trouble=new.trouble or old.trouble, **numbers)
