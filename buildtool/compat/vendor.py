"""What is known of vendors' own servers: rows of ``data/redist_components.toml`` and ``data/therock.toml``."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from buildtool.compat.tables import Row, Version, VersionOrNone, amd_targets, decode_table
from buildtool.compat.versions import Release
from buildtool.probe.model import Offered

if TYPE_CHECKING:
    from packaging.version import Version as Release440

# What people call the content of the servers that a user may name, by provider.
SERVERS = {
    "redist": "NVIDIA's redistributables",
    "therock": "AMD's TheRock archives",
    "therock-wheels": "AMD's TheRock wheels",
}
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


class _Family(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    targets: tuple[str, ...]


class _Placeholder(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    until: Version
    also: str = ""

    def covers(self, name: str) -> bool:
        return name == self.name or (bool(self.also) and name.startswith(self.also))


class _TheRock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    family: tuple[_Family, ...]
    placeholder: tuple[_Placeholder, ...]


@functools.cache
def _therock() -> _TheRock:
    text = resources.files("buildtool.compat").joinpath("data", "therock.toml").read_text("utf-8")
    return decode_table(text, _TheRock, "therock.toml")


def therock_families() -> tuple[str, ...]:
    """Return the names of AMD's families, those of single targets included."""
    return (*(row.name for row in _therock().family), *amd_targets())


def family_targets(family: str) -> tuple[str, ...]:
    """Return the targets whose kernels the libraries of a family hold; () when nobody knows it."""
    row = next((row for row in _therock().family if row.name == family), None)
    if row is not None:
        return row.targets
    return (family,) if family in amd_targets() else ()


def is_placeholder(name: str, version: str) -> bool:
    """Whether a package of AMD's name only reserves it in a public registry."""
    release = Release.read(version)
    return any(
        release is None or release < Release.parse(row.until) for row in _therock().placeholder if row.covers(name)
    )


@functools.cache
def _version(text: str) -> Release440:
    from packaging.version import InvalidVersion
    from packaging.version import Version as Release440

    try:
        return Release440(text)
    except InvalidVersion:
        return Release440(str(Release.parse(text)))


def is_early(version: str) -> bool:
    """Whether this is a nightly build or a candidate, and not a release."""
    return _version(version).is_prerelease


def newest_first(offers: Iterable[Offered]) -> list[Offered]:
    """Return offers with readable versions in order: the newest first, of one version by family."""
    by_family = sorted(offers, key=lambda one: (one.provider, one.family))
    return sorted(by_family, key=lambda one: _version(one.version), reverse=True)
