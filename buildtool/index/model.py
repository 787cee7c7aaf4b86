"""What an index holds: one frozen value per wheel, and the catalogue that lies beside the pages."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
CATALOGUE = "gpubuild-index.json"
Role = Literal["runtime", "backend", "other"]


class IndexedWheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel of an index.

    Attributes:
        filename: as it lies in the index.
        sha256: of the file, lower-case hex.
        bytes: size of the file.
        metadata_sha256: of its ``METADATA``, which lies beside it (PEP 658).
        distribution: normalised name.
        version: PEP 440 version.
        role: runtime, backend, or some other package that they require.
        family: ``cpu`` for a runtime; ``cuda13``, ``rocm7``, ``vulkan`` for a backend; "" otherwise.
        targets: device targets inside, for CUDA and ROCm.
        toolkit: CUDA or ROCm release that made it, such as ``13.0``; "" where it has none.
        bundled: whether the vendor's libraries are inside a backend.
        requires: its requirements.
        requires_python: its ``Requires-Python``; "" for any.
        platforms: platform tags, such as ``manylinux_2_34_x86_64``.
        yanked: why it must no longer be chosen (PEP 592); None while it may.
    """

    filename: str
    sha256: str
    bytes: int
    metadata_sha256: str
    distribution: str
    version: str
    role: Role
    family: str = ""
    targets: tuple[str, ...] = ()
    toolkit: str = ""
    bundled: bool = False
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    platforms: tuple[str, ...] = ()
    yanked: str | None = None


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything in an index, sorted by file name; what ``gpubuild install`` chooses from."""

    schema: int = SCHEMA
    wheels: tuple[IndexedWheel, ...]
