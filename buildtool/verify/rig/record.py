"""The record of a run: one JSON object per line, as the imitation writes them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from buildtool.errors import VerificationError


class FatBinaryEvent(msgspec.Struct, frozen=True, tag_field="event", tag="fat-binary"):
    """A library registered a fat binary; what the loader would take of it for one device."""

    library: str
    device: int
    format: str
    entries: tuple[str, ...]
    chosen: str
    target: str
    accepted: bool
    reason: str
    e_flags: int = 0
    kernels: int = 0


class ModuleEvent(msgspec.Struct, frozen=True, tag_field="event", tag="module"):
    """The program loaded a code object at run time."""

    path: str
    accepted: bool
    reason: str
    device: int = 0
    format: str = ""
    entries: tuple[str, ...] = ()
    chosen: str = ""
    target: str = ""
    e_flags: int = 0
    kernels: int = 0


class KernelEvent(msgspec.Struct, frozen=True, tag_field="event", tag="kernel"):
    """The program looked a kernel up in a code object."""

    kernel: str
    found: bool
    target: str


class LaunchEvent(msgspec.Struct, frozen=True, tag_field="event", tag="launch"):
    """A kernel reached its launch."""

    kernel: str
    target: str
    library: str
    groups: tuple[str, str, str]
    block: tuple[str, str, str]
    shared: int


class RefusedEvent(msgspec.Struct, frozen=True, tag_field="event", tag="launch-refused"):
    """A launch that HIP refuses."""

    kernel: str
    library: str
    reason: str


class OpenEvent(msgspec.Struct, frozen=True, tag_field="event", tag="open"):
    """The program opened a table or a file of device code, or failed to."""

    path: str
    opened: bool


class PropertiesEvent(msgspec.Struct, frozen=True, tag_field="event", tag="properties"):
    """The program asked what a device is."""

    device: int
    target: str


class AbsentEvent(msgspec.Struct, frozen=True, tag_field="event", tag="absent"):
    """The program called a function that is not imitated."""

    function: str


Event = (
    FatBinaryEvent | ModuleEvent | KernelEvent | LaunchEvent | RefusedEvent | OpenEvent | PropertiesEvent | AbsentEvent
)


def read(path: Path) -> tuple[Event, ...]:
    """Return the events of a run in order; none when it ended before the first.

    Raises:
        VerificationError: the file is not what the imitation writes.
    """
    if not path.is_file():
        return ()
    try:
        return tuple(msgspec.json.decode(line, type=Event) for line in path.read_bytes().splitlines())
    except msgspec.MsgspecError as error:
        what = "The record of the imitated HIP runtime is damaged."
        raise VerificationError(what, why=str(error)) from error
