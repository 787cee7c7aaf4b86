"""``gpubuild.lock``: a Plan on disk, readable by people, refused when anybody changed it.

The file is JSON: a schema number, the digest of the plan, and the plan. It is written beside its place and
renamed, so a reader sees the old file or the new one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from buildtool.compat.model import PLAN_SCHEMA, Plan
from buildtool.errors import LockFileError, StorageError
from buildtool.shell import here, quote
from buildtool.store.placing import write_whole

LOCK_NAME = "gpubuild.lock"
LOCK_SCHEMA = 1
LARGEST_BYTES = 16 << 20
NOTE = "Written by gpubuild plan. Not for editing: change the wish and plan again."


class _Lock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    note: str
    schema: int
    digest: str
    plan: msgspec.Raw


class _PlanHead(msgspec.Struct, frozen=True, kw_only=True):
    schema: int


def save_lock(plan: Plan, path: Path) -> None:
    """Write a plan to `path`, atomically.

    Raises:
        StorageError: the place cannot be written.
    """
    text = lock_bytes(plan)
    try:
        write_whole(path, text)
    except OSError as error:
        what = f"The lock file {path} could not be written."
        raise StorageError(what, why=error.strerror or str(error), hint="Name a writable place with --out.") from error


def lock_bytes(plan: Plan) -> bytes:
    """Return what the lock file of a plan holds; equal plans give equal bytes."""
    raw = msgspec.json.encode(plan, order="deterministic")
    lock = _Lock(note=NOTE, schema=LOCK_SCHEMA, digest=_digest(plan), plan=msgspec.Raw(raw))
    return msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n"


def load_lock(path: Path) -> Plan:
    """Read the plan that `path` holds.

    Raises:
        LockFileError: it is missing, damaged, edited, or of a schema this version does not read.
    """
    again = "Plan again: gpubuild plan --out " + quote(str(path), here())
    return parse_lock(_read(path, again), str(path), again)


def parse_lock(data: bytes, path: str, again: str) -> Plan:
    """Read a plan from the bytes of a lock file.

    Args:
        data: what the file holds.
        path: where it lies, for people.
        again: what to do when it cannot be used.

    Raises:
        LockFileError: it is damaged, edited, or of a schema this version does not read.
    """
    lock = _decode(data, path, again)
    try:
        schema = msgspec.json.decode(lock.plan, type=_PlanHead).schema
        if schema != PLAN_SCHEMA:
            what = f"The plan in {path} is of schema {schema}; this gpubuild reads {PLAN_SCHEMA}."
            raise LockFileError(what, hint="Update gpubuild, or p" + again[1:] if schema > PLAN_SCHEMA else again)
        plan = msgspec.json.decode(lock.plan, type=Plan)
    except msgspec.MsgspecError as error:
        what = f"The lock file {path} holds no plan that this gpubuild reads."
        raise LockFileError(what, why=str(error), hint=again) from error
    if lock.digest not in {_digest(plan), _digest_as_written(lock.plan)}:
        what = f"The lock file {path} was edited by hand."
        raise LockFileError(what, why="Its digest does not fit its plan.", hint=again)
    return plan


def _read(path: Path, again: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        what = f"There is no lock file {path}."
        raise LockFileError(what, hint=again) from error
    except OSError as error:
        what = f"The lock file {path} cannot be read."
        raise LockFileError(what, why=error.strerror or str(error)) from error


def _decode(data: bytes, path: str, again: str) -> _Lock:
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
        if isinstance(head.get("schema"), int) and head["schema"] > LOCK_SCHEMA:
            what = f"The lock file {path} is of schema {head['schema']}; this gpubuild reads up to {LOCK_SCHEMA}."
            raise LockFileError(what, hint="Update gpubuild, or " + again[0].lower() + again[1:])
        return msgspec.json.decode(data, type=_Lock)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"The lock file {path} is damaged."
        raise LockFileError(what, why=str(error), hint=again) from error


def _digest(plan: Plan) -> str:
    """Return the sha256 (hex) of a whole plan, its explanation included: any edit shows."""
    return hashlib.sha256(msgspec.json.encode(plan, order="deterministic")).hexdigest()


def _digest_as_written(raw: msgspec.Raw) -> str:
    """Return the sha256 (hex) of a plan as the file has it: of one from before the plan had all its fields."""
    return hashlib.sha256(msgspec.json.format(bytes(raw), indent=-1)).hexdigest()
