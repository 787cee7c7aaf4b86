"""A verified source tree: what `buildtool.source` hands to `buildtool.build`."""

from __future__ import annotations

import msgspec


class SourceTree(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A read-only source tree.

    Attributes:
        path: the directory that holds the top-level ``CMakeLists.txt``.
        digest: sha256 (hex) over the names, modes and contents of all its files.
        mutable: True for a user's local tree, which can change between two builds.
    """

    path: str
    digest: str
    mutable: bool = False
