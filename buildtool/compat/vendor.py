"""What is known of vendors' own servers: rows of ``data/redist_components.toml``."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

from buildtool.compat.tables import Row, VersionOrNone, decode_table
from buildtool.compat.versions import Release

# What people call the content of the servers that a user may name, by provider.
SERVERS = {"redist": "NVIDIA's redistributables"}
# The machines of NVIDIA's manifests, by gpubuild's names.
REDIST_PLATFORMS = {"linux-x86_64": "linux-x86_64", "linux-aarch64": "linux-sbsa"}


class _Component(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    since: VersionOrNone = ""


class _Components(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    component: tuple[_Component, ...]


@functools.cache
def _components() -> tuple[_Component, ...]:
    text = resources.files("buildtool.compat").joinpath("data", "redist_components.toml").read_text("utf-8")
    return decode_table(text, _Components, "redist_components.toml").component


def redist_components(version: str) -> tuple[str, ...]:
    """Return the names of the components that make a toolkit of a CUDA release, in the order of the table."""
    release = Release.parse(version)
    return tuple(row.name for row in _components() if not row.since or release >= Release.parse(row.since))
