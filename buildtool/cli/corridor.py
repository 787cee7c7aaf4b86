"""From a plan to a built tree: the part of the way that ``compile`` and ``reproduce`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from buildtool.build import BuildOptions
    from buildtool.cli.progress import Reporter
    from buildtool.compat.model import Plan

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan as ExactPlan
from buildtool.source.model import SourceTree
from buildtool.toolchain.model import Toolchain


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with nothing left open, and what came of it."""

    plan: ExactPlan
    source: SourceTree
    toolchain: Toolchain
    tree: BuildTree


def build_plan(plan: Plan, options: BuildOptions, reporter: Reporter, *, name_digest: bool = True) -> Built:
    """Fetch what a plan needs and build it.

    Args:
        plan: what to build.
        options: how.
        reporter: told about everything that takes time.
        name_digest: whether the versions of a local tree's wheels get its digest; they have it in a lock from a wheel.

    Raises:
        GpubuildError: as the rooms on the way.
    """
    from buildtool.build import build
    from buildtool.compat.fixed import with_base, with_local_digest, with_source, with_toolkit
    from buildtool.compat.patches import with_patches
    from buildtool.patch import patched_source
    from buildtool.runtime import require_served
    from buildtool.source import acquire as acquire_source
    from buildtool.source import resolve as fix_source
    from buildtool.toolchain import acquire as acquire_toolchain
    from buildtool.toolchain import pinned

    downloads = reporter.downloads()
    plan = with_source(plan, fix_source(plan.source, progress=downloads))
    plan = with_toolkit(plan, pinned(plan.toolkit, plan.platform, progress=downloads))
    base = pinned(plan.base, plan.platform, progress=downloads) if plan.base else None
    plan = with_base(plan, base) if base else plan
    source = acquire_source(plan.source, progress=downloads)
    if name_digest:
        plan = with_local_digest(plan, source.digest)
    patched = patched_source(plan.patches, plan.recipe, source, progress=downloads)
    plan, source = with_patches(plan, patched.applied), patched.tree
    if plan.patches:
        words = ", ".join(f"{one.name} ({' '.join(one.targets)})" for one in plan.patches)
        reporter.note(f"Patched, on a copy: {words}")
    toolchain = acquire_toolchain(plan.toolkit, plan.host_compiler, base=base, progress=downloads, inside=plan.inside)
    require_served(plan, toolchain)
    tree = build(plan, toolchain, source, options=options, progress=reporter)
    return Built(plan=plan, source=source, toolchain=toolchain, tree=tree)
