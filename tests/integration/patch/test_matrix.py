"""Every patch on every known source version: none conflicts, and the dates of the series say what the trees show."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildtool.compat.model import PlanPatch
from buildtool.compat.patches import choose_patches
from buildtool.compat.recipes import load_recipe
from buildtool.compat.series import load_series, series_directory
from buildtool.compat.sources import choose_sources
from buildtool.patch import KnownSource, check_tree, known_sources, patched_source, targets_of
from buildtool.source import acquire
from buildtool.source.digest import tree_digest

pytestmark = [pytest.mark.network, pytest.mark.slow]

SERIES = load_series("llama.cpp")
FOLDER = series_directory("llama.cpp")
KNOWN = known_sources(SERIES)


def test_the_versions_span_2024_to_2026() -> None:
    years = {source.date.year for source in choose_sources(None, load_recipe("llama.cpp")) if source.date}
    assert years == {2024, 2025, 2026}
    assert len(KNOWN) >= 12


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.label)
def test_no_patch_conflicts_and_each_is_chosen_exactly_where_it_is_needed(known: KnownSource) -> None:
    tree = acquire(known.plan)
    verdicts = {verdict.patch: verdict for verdict in check_tree(FOLDER, SERIES.patches, tree.path)}
    assert {verdict.state for verdict in verdicts.values()} <= {"applies", "not-needed"}
    if not known.offered:
        return
    (source,) = choose_sources(known.plan.name, load_recipe("llama.cpp"))
    for row in SERIES.patches:
        chosen = {name for one in choose_patches("llama.cpp", source, "rocm", targets_of(row))
                  if one.plan.name == row.name for name in one.plan.targets}  # fmt: skip
        needed = set(verdicts[row.name].targets) if verdicts[row.name].state == "applies" else set()
        assert chosen == needed, row.name


@pytest.mark.parametrize("label", ["lcp0.3.36", "lcp0.3.16", "lcp0.2.76"])
def test_a_real_tree_is_patched_on_a_copy_and_then_needs_no_patch(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known,) = [one for one in KNOWN if one.label == label]
    tree = acquire(known.plan)
    monkeypatch.setenv("GPUBUILD_STORE", str(tmp_path))
    wanted = [
        PlanPatch(name=row.name, sha256=row.sha256, targets=tuple(map(str, targets_of(row)))) for row in SERIES.patches
    ]
    found = patched_source(wanted, "llama.cpp", tree)
    assert found.applied
    assert tree_digest(Path(tree.path)) == tree.digest != found.tree.digest
    again = patched_source(wanted, "llama.cpp", found.tree)
    assert again.tree == found.tree
    assert again.applied == ()
