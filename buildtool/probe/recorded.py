"""A whole machine from a file: what ``gpubuild detect --json`` printed on it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from buildtool.errors import InvalidInputError
from buildtool.probe.model import SCHEMA, Host
from buildtool.probe.replay import read_recording


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    schema: int


def load_host(path: Path) -> Host:
    """Read the machine that a file describes.

    Raises:
        InvalidInputError: it cannot be read, is not what ``gpubuild detect --json`` prints, or a newer gpubuild's.
    """
    text = read_recording(path)
    again = "Record it on that machine: gpubuild detect --json > host.json"
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.schema != SCHEMA:
            what = f"The machine in {path} is of schema {head.schema}; this gpubuild reads {SCHEMA}."
            raise InvalidInputError(what, hint="Use the same gpubuild on both machines.")
        return msgspec.json.decode(text, type=Host)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        what = f"{path} does not describe a machine."
        raise InvalidInputError(what, why=str(error), hint=again) from error
