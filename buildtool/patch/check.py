"""Every patch on every known source version: applies, not needed, conflicts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from buildtool.compat.model import Pin, PlanSource
from buildtool.compat.recipes import load_recipe, recipe_names
from buildtool.compat.series import PatchRow, Series
from buildtool.compat.sources import choose_sources
from buildtool.compat.tables import nvidia_targets
from buildtool.compat.targets import Target, known_amd
from buildtool.patch.load import load_body
from buildtool.patch.model import Body, Verdict
from buildtool.patch.rehearse import Draft, try_patch


class KnownSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source version with a short name for the matrix.

    Attributes:
        label: the short name.
        offered: whether the recipe offers it for building, or it is only checked.
        plan: how to get it.
    """

    label: str
    offered: bool
    plan: PlanSource


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What came of each patch on one source version."""

    source: str
    label: str
    offered: bool
    verdicts: tuple[Verdict, ...]


def known_sources(series: Series) -> tuple[KnownSource, ...]:
    """Return every source version that the patches of a project are checked against, newest first."""
    found: list[KnownSource] = []
    if series.name in recipe_names():
        recipe = load_recipe(series.name)
        by_name = {row.name: row for row in recipe.sources}
        for choice in choose_sources(None, recipe):
            label = by_name[choice.plan.name].label
            found.append(KnownSource(label=label, offered=True, plan=choice.plan))
    for tree in series.trees:
        pin = Pin(name=tree.distribution, version=tree.release, filename=tree.filename, sha256=tree.sha256)
        plan = PlanSource(kind="sdist", name=tree.name, version="0.0.0", pin=pin, subdir=tree.subdir)
        found.append(KnownSource(label=tree.label, offered=False, plan=plan))
    return tuple(found)


def targets_of(row: PatchRow) -> tuple[Target, ...]:
    """Return every known target that a patch is for."""
    amd = [Target("rocm", name) for name in known_amd()]
    nvidia = [Target("cuda", name) for name in nvidia_targets()]
    fitting = [target for target in (*amd, *nvidia) if row.serves(target) and target.platform in row.backends]
    return tuple(sorted(fitting, key=lambda target: target.order))


def check_tree(
    folder: Path, rows: Iterable[PatchRow], tree: str, targets: tuple[Target, ...] = ()
) -> tuple[Verdict, ...]:
    """Try each patch alone on a tree, for all of its targets, or for those given.

    Raises:
        IntegrityError: a patch body is not the one that its row names.
    """
    verdicts = []
    for row in rows:
        body = load_body(folder, row)
        wanted = tuple(target for target in targets or targets_of(row) if row.serves(target))
        verdicts.append(_check(Path(tree), row, body, wanted))
    return tuple(verdicts)


def _check(tree: Path, row: PatchRow, body: Body, targets: tuple[Target, ...]) -> Verdict:
    """Try a patch for each target alone, so that the verdict names exactly those that need it."""
    found = [try_patch(Draft(tree), row, body, (target,)) for target in targets]
    for state in ("conflicts", "elsewhere", "applies"):
        same = [verdict for verdict in found if verdict.state == state]
        if same:
            return msgspec.structs.replace(same[0], targets=tuple(name for one in same for name in one.targets))
    return Verdict(patch=row.name, state="not-needed", targets=tuple(map(str, targets)))
