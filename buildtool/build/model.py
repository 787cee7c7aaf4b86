"""A finished build directory: what `buildtool.build` hands to `buildtool.wheel`."""

from __future__ import annotations

import msgspec


class CacheStats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the compiler cache did during one build."""

    launcher: str
    hits: int
    misses: int
    detail: dict[str, int] = {}


class BuildTree(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configured and built CMake tree.

    Attributes:
        path: the build directory.
        source: the source tree's top-level directory.
        cmake_args: every ``-D`` argument of the configure step, so that a later step can repeat it exactly.
        env: environment the configure and build steps ran in, beyond the inherited one.
        cmake: path of the cmake program.
        ninja: path of the ninja program.
        steps: how many build steps ran (0: nothing had changed).
        seconds: wall time of configure and build.
        log: path of the complete log.
        cache: statistics of the compiler cache, if one was used.
    """

    path: str
    source: str
    cmake_args: tuple[str, ...]
    env: dict[str, str]
    cmake: str
    ninja: str
    steps: int
    seconds: float
    log: str
    cache: CacheStats | None = None
