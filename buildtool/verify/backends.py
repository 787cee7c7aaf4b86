"""The table of ggml backends (``data/backends.toml``): module names, device names, driver libraries."""

from __future__ import annotations

import functools
import re
from importlib import resources

import msgspec

from buildtool.compat.tables import decode_table


class BackendKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row: `module` and `devices` are name prefixes; `drivers` are libraries that only a driver installs."""

    name: str
    module: str
    devices: str
    drivers: tuple[str, ...]
    source: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    backend: tuple[BackendKind, ...]


@functools.cache
def kinds() -> tuple[BackendKind, ...]:
    """Return all rows.

    Raises:
        DataError: the table does not have the form of `BackendKind`.
    """
    text = resources.files("buildtool.verify").joinpath("data/backends.toml").read_text("utf-8")
    return decode_table(text, _Table, "backends.toml").backend


def backend_of_module(filename: str) -> str | None:
    """Return the backend that a library file implements: ``libggml-cpu-haswell.so`` is ``cpu``; else None."""
    match = re.fullmatch(r"(?:lib)?(ggml-[a-z]+)(?:-[^.]+)?\.(?:so|dll|dylib)", filename)
    if match is None:
        return None
    return next((kind.name for kind in kinds() if kind.module == match.group(1)), None)


def is_device_of(device: str, backend: str) -> bool:
    """Tell whether a ggml device name (``CUDA0``) belongs to a backend (``cuda``)."""
    kind = next((kind for kind in kinds() if kind.name == backend), None)
    return kind is not None and re.fullmatch(rf"{re.escape(kind.devices)}\d*", device) is not None


def is_driver_library(name: str) -> bool:
    """Tell whether a missing library is one that only a driver installs."""
    return any(name in kind.drivers for kind in kinds())
