"""Which patches a build needs: the rows of the project's series that are for its targets and its source's day.

The engine does not read the source. Where its day is known, the rows say exactly what it lacks; of a local tree or a
git tag nothing is known, so every patch for the targets is tried, and the tree shows which are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from buildtool.compat.model import Backend, Decision, Plan, PlanPatch
from buildtool.compat.recipes import ReachRow
from buildtool.compat.series import PatchRow, Series, load_series, series_names
from buildtool.compat.sources import SourceChoice
from buildtool.compat.targets import Target

LABEL_CHARS = 6
OLD_CARDS = Target("cuda", "sm_60").order  # below are the cards that upstream's own releases leave out, or soon will


class PatchChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A patch of the plan, with its row."""

    row: PatchRow
    plan: PlanPatch


def choose_patches(
    project: str, source: SourceChoice, backend: Backend, targets: Iterable[Target]
) -> tuple[PatchChoice, ...]:
    """Return the patches for a build, in the order of their series.

    Args:
        project: the recipe's name.
        source: the source that is built.
        backend: the backend that is built.
        targets: its targets.
    """
    wanted = tuple(targets)
    found: list[PatchChoice] = []
    for row in _series(project).patches:
        serving = tuple(str(target) for target in wanted if row.serves(target))
        known = source.date is not None
        fits = backend in row.backends and row.part == "backend" and not row.only_with
        if serving and fits and (not known or row.holds_on(source.date)):
            found.append(PatchChoice(row=row, plan=PlanPatch(name=row.name, sha256=row.sha256, targets=serving)))
    return tuple(found)


def _series(project: str) -> Series:
    return load_series(project) if project in series_names() else Series(schema=1, name=project, words="")


def explain_patches(chosen: tuple[PatchChoice, ...], source: SourceChoice) -> list[Decision]:
    """Return the decisions about patches: which, for which targets, and why."""
    if not chosen:
        reason = "this source needs none for this build"
        return [Decision(subject="patches", choice="none", rule="patches", reason=reason)]
    unknown = "" if source.date is not None else "; left out where the tree shows that it is not needed"
    return [
        Decision(
            subject="patches",
            choice=f"{one.plan.name} for {', '.join(one.plan.targets)}",
            rule="patches",
            reason=one.row.purpose + unknown,
            sources=(*one.row.source, one.row.upstream),
        )
        for one in chosen
    ]


def explain_reach(reaches: Iterable[ReachRow], source: SourceChoice, targets: Iterable[Target]) -> list[Decision]:
    """Return how far down the source goes, when the build is for its oldest cards.

    Args:
        reaches: rows of the recipe.
        source: the source that is built.
        targets: the targets of the build.
    """
    wanted = tuple(targets)
    return [
        Decision(
            subject="reach",
            choice=f"down to {row.oldest} with {row.toolkit.replace('==', ' ')}",
            rule="reach",
            reason=f"compiled, not run on a card; {row.below}",
            sources=row.source,
        )
        for row in reaches
        if row.holds_on(source.date) and any(one.platform == row.backend and one.order < OLD_CARDS for one in wanted)
    ]


def stated(chosen: Iterable[PatchChoice], source: SourceChoice) -> str:
    """Return what a backend wheel's version tells of its patches when it is planned.

    Of a source without a date it is nothing: only the tree shows which patches it needs; see `with_patches`.
    """
    return patch_label(one.plan for one in chosen) if source.date is not None else ""


def patch_label(patches: Iterable[PlanPatch]) -> str:
    """Return what tells patches apart in a wheel's local version; "" for none."""
    applied = "\n".join(f"{one.name} {one.sha256} {' '.join(one.targets)}" for one in patches)
    return f"p{hashlib.sha256(applied.encode()).hexdigest()[:LABEL_CHARS]}" if applied else ""


def with_patches(plan: Plan, applied: tuple[PlanPatch, ...]) -> Plan:
    """Return the plan with exactly the patches that the tree needed, and backend wheels that tell of them."""
    planned, label = patch_label(plan.patches), patch_label(applied)

    def told(version: str) -> str:
        bare = version.removesuffix(f".{planned}") if planned else version
        return f"{bare}.{label}" if label else bare

    wheels = tuple(
        msgspec.structs.replace(wheel, version=told(wheel.version)) if wheel.role == "backend" else wheel
        for wheel in plan.wheels
    )
    return msgspec.structs.replace(plan, patches=applied, wheels=wheels)
