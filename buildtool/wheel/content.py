"""What a wheel can say about itself: the places in ``.dist-info``, and the facts that are written there."""

from __future__ import annotations

from importlib import metadata

import msgspec

from buildtool import __version__
from buildtool.compat.model import Plan, PlanWheel
from buildtool.runtime import RuntimeSet
from buildtool.wheel.embedded import Embedded

LOCK = "gpubuild.lock"
SBOM = "sboms/gpubuild.cdx.json"  # PEP 770
PROVENANCE = "provenance.intoto.json"
TOOLS = ("scikit-build-core", "cmake", "ninja")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known about a wheel when its binaries are in it.

    Attributes:
        plan: the plan that makes it, see `buildtool.compat.parts.plan_of_wheel`.
        wheel: which of its wheels this is.
        tag: its platform tag.
        info_dir: name of its ``.dist-info`` folder.
        files: name in the wheel to sha256 (hex) and size in bytes.
        embedded: code of others in the source tree.
        vendor: libraries that travel.
        tools: name and version of what built and packed it.
    """

    plan: Plan
    wheel: PlanWheel
    tag: str
    info_dir: str
    files: dict[str, tuple[str, int]]
    embedded: tuple[Embedded, ...]
    vendor: RuntimeSet
    tools: dict[str, str]

    @property
    def purl(self) -> str:
        """The wheel's package URL."""
        return pypi_purl(self.wheel.distribution, self.wheel.version)


def tools_here(*more: str) -> dict[str, str]:
    """Return the versions of the programs that decide a wheel's bytes beside its compilers, and of `more`."""
    found = {"gpubuild": __version__}
    for name in (*TOOLS, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # taken from PATH
            continue
    return found


def pypi_purl(name: str, version: str = "") -> str:
    """Return the package URL of a Python distribution."""
    from urllib.parse import quote

    from packaging.utils import canonicalize_name

    plain = f"pkg:pypi/{canonicalize_name(name)}"
    return f"{plain}@{quote(version, safe='')}" if version else plain


def encode(document: object) -> bytes:
    """Return a document as JSON that is the same for equal documents."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"
