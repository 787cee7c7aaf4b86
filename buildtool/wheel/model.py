"""A packed wheel: what `buildtool.wheel` hands to `buildtool.verify` and to people."""

from __future__ import annotations

from typing import Literal

import msgspec


class Wheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel file.

    Attributes:
        role: ``runtime`` or ``backend``.
        path: absolute path of the file.
        distribution: name as installed.
        version: PEP 440 version.
        tag: platform tag, such as ``manylinux_2_34_x86_64``.
        sha256: hex digest of the file.
        bytes: size of the file.
    """

    role: Literal["runtime", "backend"]
    path: str
    distribution: str
    version: str
    tag: str
    sha256: str
    bytes: int
