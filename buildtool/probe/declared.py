"""``GPUBUILD_DEVICES``: devices declared in the environment, so that CI needs no GPU."""

from __future__ import annotations

import difflib
import re

from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.probe import chips
from buildtool.probe.model import DECLARED, DEVICES_VARIABLE, Device
from buildtool.probe.sighting import split_target

NO_DEVICES = {"", "none"}
MAX_DECLARED = 256


def declared_devices(value: str) -> tuple[Device, ...]:
    """Read a comma-separated list such as ``sm_90,gfx1032``; empty or ``none`` declares that there is none.

    Raises:
        InvalidInputError: an empty entry between commas, or too many of them.
        UnknownNameError: a target that nobody knows; says which ones are close.
    """
    if value.strip().lower() in NO_DEVICES:
        return ()
    entries = [entry.strip() for entry in value.split(",")]
    if not all(entries) or len(entries) > MAX_DECLARED:
        what = f"{DEVICES_VARIABLE} is not a list of targets: {value[:80]!r}."
        raise InvalidInputError(
            what, hint=f"Write it as {DEVICES_VARIABLE}=sm_90,gfx1032, or {DEVICES_VARIABLE}=none for no device."
        )
    return tuple(_device(entry, index) for index, entry in enumerate(entries))


def known_targets() -> tuple[str, ...]:
    """Return every target a device can be declared with, without features and ``a``/``f`` suffixes."""
    return (*(f"sm_{cc.replace('.', '')}" for cc in chips.compute_capabilities()), *chips.amd_archs())


def _device(entry: str, index: int) -> Device:
    text = entry.lower()
    cuda = re.fullmatch(r"(sm_(\d{1,2})(\d))[af]?", text, re.ASCII)
    arch, _ = split_target(text)
    known = known_targets()
    if cuda is not None and cuda[1] in known:
        capability = f"{cuda[2]}.{cuda[3]}"
        return Device(
            vendor="nvidia",
            name=f"declared {text}",
            target=text,
            compute_capability=capability,
            source=DECLARED,
            index=index,
        )
    if arch in known:
        row = chips.amd_arch_chip(arch or "")
        return Device(
            vendor="amd",
            name=f"declared {text}",
            target=text,
            source=DECLARED,
            integrated=row.integrated if row else None,
            index=index,
        )
    close = difflib.get_close_matches(text.partition(":")[0], known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else "A target looks like sm_90 or gfx1032."
    what = f"{DEVICES_VARIABLE} names {entry[:40]!r}, which is no GPU target."
    raise UnknownNameError(what, hint=hint, details=() if close else (f"known: {' '.join(known)}",))
