"""The table of what compiles for which AMD target is whole, and its page says what it holds."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

from buildtool.compat.recipes import load_recipe
from buildtool.compat.rocm_trials import RocmTrial, explain_trials, rocm_trials
from buildtool.compat.series import read_series, series_directory
from buildtool.compat.targets import parse_target

TOOL = Path(__file__).parents[3] / "tools" / "gfx_trials.py"


def test_every_trial_is_of_a_known_target_source_and_patch() -> None:
    sources = {source.name for source in load_recipe("llama.cpp").sources}
    patches = {row.name for row in read_series(series_directory("llama.cpp")).patches}
    for row in rocm_trials():
        (target,) = parse_target(row.target)
        assert (str(target), target.platform) == (row.target, "rocm")
        assert row.tree in sources or (row.result == "fails" and not row.tree)
        assert set(row.patches) <= patches


def test_no_trial_stands_twice_and_each_says_how_it_went() -> None:
    rows = rocm_trials()
    assert rows
    assert len({(row.target, row.file) for row in rows}) == len(rows)
    for row in rows:
        assert bool(row.error) == (row.result == "fails")
        assert bool(row.seconds) == (row.result == "compiles")


def test_the_page_is_made_of_the_table() -> None:
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def row(target: str, error: str = "") -> RocmTrial:
    return RocmTrial(
        target=target, file="mmvq.cu", toolkit="rocm==7.0", tree="t", day=dt.date(2026, 11, 25),
        result="fails" if error else "compiles", seconds=0 if error else 30.0, error=error,
        source=("a trial",),
    )  # fmt: skip


def test_a_plan_tells_what_a_compiler_made_of_its_targets() -> None:
    rows = [row("gfx1032"), row("gfx803", "unknown builtin"), row("gfx906")]
    targets = [parse_target(name)[0] for name in ("gfx1032", "gfx803", "gfx906:xnack-", "gfx1010", "sm_90")]
    told = explain_trials(rows, targets)
    assert [one.choice for one in told] == [
        "gfx1032 compiles", "gfx803 fails", "gfx906:xnack- compiles", "gfx1010 not tried",
    ]  # fmt: skip
    assert "not run on a card" in told[0].reason
    assert "unknown builtin" in told[1].reason
