"""Wheel variants (PEP 825, a draft): what a wheel needs of a machine beyond its platform tag, as properties.

scikit-build-core writes them into ``variant.json`` with variantlib, which is experimental there too; here is only
decided what is true of a wheel. A wheel of which nothing can be said in these words stays a plain one.
"""

from __future__ import annotations

import functools
import importlib.util
from importlib import resources

import msgspec
from packaging.version import Version

from buildtool.compat.model import Plan, PlanWheel
from buildtool.compat.tables import Row, amd_targets, decode_table
from buildtool.compat.versions import Release
from buildtool.errors import IncompatibleError, MissingToolError

LEVEL = "v3"  # of x86-64, which the profile `minimal` is compiled for


class Provider(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who tells an installer about one namespace; the fields are described at the head of ``variants.toml``."""

    namespace: str
    requires: tuple[str, ...]
    plugin_api: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    provider: tuple[Provider, ...]


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a wheel a variant.

    Attributes:
        label: the last part of its file name.
        properties: such as ``nvidia :: sm_arch :: 90_real``; of several values of one feature any will do.
    """

    label: str
    properties: tuple[str, ...]

    @property
    def settings(self) -> dict[str, str]:
        """What scikit-build-core is told; it does not take this from a project's own file."""
        return {"experimental": "true", "variant": ";".join(self.properties), "variant-label": self.label}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of the properties, each once."""
        return tuple(dict.fromkeys(one.partition(" ")[0] for one in self.properties))


@functools.cache
def providers() -> dict[str, Provider]:
    """Return the provider of each namespace.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.wheel").joinpath("data", "variants.toml").read_text("utf-8")
    return {row.namespace: row for row in decode_table(text, _Table, "variants.toml").provider}


def require_variants(plan: Plan) -> None:
    """Find out before an hour of compiling that variants could not be written.

    Raises:
        MissingToolError: variantlib is not installed.
        IncompatibleError: a target of the plan has no name among the properties.
    """
    if importlib.util.find_spec("variantlib") is None:
        what = "Wheel variants are written with the package variantlib, which is not installed."
        raise MissingToolError(what, hint='pip install "gpubuild[variants]"')
    for wheel in plan.wheels:
        variant_of(plan, wheel)


def variant_of(plan: Plan, wheel: PlanWheel) -> Variant | None:
    """Return what makes a wheel of a plan a variant; None for one that stays plain.

    Raises:
        IncompatibleError: a target has no name among the properties.
    """
    if wheel.role == "runtime":
        if plan.profile != "minimal" or not plan.platform.endswith("x86_64"):
            return None  # a portable runtime asks the processor itself; of a native one nobody knows
        return Variant(label=f"x86_64_{LEVEL}", properties=(f"x86_64 :: level :: {LEVEL}",))
    if plan.toolkit is None or plan.backend not in {"cuda", "rocm"}:
        return None
    found = _nvidia(plan, plan.toolkit.version) if plan.backend == "cuda" else _amd(plan)
    return Variant(label=_label(plan, wheel), properties=found)


def _nvidia(plan: Plan, toolkit: str) -> tuple[str, ...]:
    """Device code without PTX runs with every driver of the toolkit's major release, and with newer ones."""
    bound = f"nvidia :: cuda_version_lower_bound :: {Release.parse(toolkit).major}.0"
    return (bound, *(f"nvidia :: sm_arch :: {target.removeprefix('sm_')}_real" for target in plan.targets))


def _amd(plan: Plan) -> tuple[str, ...]:
    chips: dict[str, None] = {}
    for target in plan.targets:
        if ":" in target:
            what = f"A wheel variant cannot say that it is for {target}."
            why = "The values of amd :: gfx_arch name processors, without features such as xnack."
            raise IncompatibleError(what, why=why, hint="Leave the feature out, or --experimental-variants.")
        covered = [row.name for row in amd_targets().values() if row.generic == target]
        chips |= dict.fromkeys(covered or [target])
    return tuple(f"amd :: gfx_arch :: {chip}" for chip in chips)


def _label(plan: Plan, wheel: PlanWheel) -> str:
    """Return what a backend's version says beyond its runtime's: toolkit, targets, patches (``cu130.sm90``)."""
    runtime = next(one for one in plan.wheels if one.role == "runtime")
    common = set((Version(runtime.version).local or "").split("."))
    return ".".join(word for word in (Version(wheel.version).local or "").split(".") if word not in common)
