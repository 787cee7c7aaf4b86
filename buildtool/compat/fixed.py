"""A plan with nothing left open: the exact source and packages, known only once they have been fetched or looked up."""

from __future__ import annotations

import msgspec

from buildtool.compat.model import Plan, PlanSource, PlanToolkit

DIGEST_CHARS = 8


def with_source(plan: Plan, source: PlanSource) -> Plan:
    """Return the plan for exactly `source`: a git tag that became a commit, an archive that became a hash."""
    return msgspec.structs.replace(plan, source=source)


def with_toolkit(plan: Plan, toolkit: PlanToolkit | None) -> Plan:
    """Return the plan for exactly `toolkit`: a root filesystem whose packages are pinned."""
    return msgspec.structs.replace(plan, toolkit=toolkit)


def with_base(plan: Plan, base: PlanToolkit) -> Plan:
    """Return the plan for exactly the old system `base`, whose packages are pinned."""
    return msgspec.structs.replace(plan, base=base)


def with_local_digest(plan: Plan, digest: str) -> Plan:
    """Tell the content of a local tree in the wheels' versions, so that a backend fits only the runtime of that tree.

    Args:
        plan: of any source; only a local one is changed, the others' versions name their source already.
        digest: sha256 (hex) of the tree.
    """
    if plan.source.kind != "local":
        return plan
    suffix = f".h{digest[:DIGEST_CHARS]}"
    exact = {
        f"{wheel.distribution}=={wheel.version}": f"{wheel.distribution}=={wheel.version}{suffix}"
        for wheel in plan.wheels
    }
    wheels = tuple(
        msgspec.structs.replace(
            wheel,
            version=wheel.version + suffix,
            requires=tuple(exact.get(requirement, requirement) for requirement in wheel.requires),
        )
        for wheel in plan.wheels
    )
    return msgspec.structs.replace(plan, wheels=wheels)
