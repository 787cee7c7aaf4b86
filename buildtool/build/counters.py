"""What a compiler cache counted during one build."""

from __future__ import annotations

import json
import os

from buildtool.build.launcher import Launcher, cache_folder
from buildtool.build.model import CacheStats
from buildtool.process import run
from buildtool.toolchain.sandbox import AnySandbox

ANSWER_TIMEOUT_S = 20.0


def statistics(launcher: Launcher, sandbox: AnySandbox | None = None) -> CacheStats | None:
    """Read the launcher's counters; None when it does not answer."""
    env = {**os.environ, **launcher.env}
    if sandbox is not None:
        place = cache_folder(launcher)
        argv = sandbox.argv([launcher.program, "--print-stats"], cwd=place, writable=[place])
        done = run(argv, env=sandbox.environment(launcher.env), timeout_s=ANSWER_TIMEOUT_S, check=False)
        return parse_ccache(done.output) if done.returncode == 0 else None
    if launcher.name == "sccache":
        done = run(
            [launcher.program, "--show-stats", "--stats-format=json"], env=env, timeout_s=ANSWER_TIMEOUT_S, check=False
        )
        return parse_sccache(done.output) if done.returncode == 0 else None
    done = run([launcher.program, "--print-stats"], env=env, timeout_s=ANSWER_TIMEOUT_S, check=False)
    return parse_ccache(done.output) if done.returncode == 0 else None


def parse_sccache(text: str) -> CacheStats | None:
    """Parse ``sccache --show-stats --stats-format=json``."""
    try:
        stats = json.loads(text)["stats"]
        hits = {str(k): int(v) for k, v in stats["cache_hits"]["counts"].items()}
        misses = {str(k): int(v) for k, v in stats["cache_misses"]["counts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    detail = {f"hits {k}": v for k, v in hits.items()} | {f"misses {k}": v for k, v in misses.items()}
    return CacheStats(
        launcher="sccache",
        hits=sum(hits.values()),
        misses=sum(misses.values()),
        detail=dict(sorted(detail.items())),
    )


def parse_ccache(text: str) -> CacheStats | None:
    """Parse ``ccache --print-stats`` (tab-separated counters)."""
    counters: dict[str, int] = {}
    for line in text.splitlines():
        key, tab, value = line.partition("\t")
        if tab and value.strip().isdigit():
            counters[key] = int(value)
    if "cache_miss" not in counters:
        return None
    hits = counters.get("direct_cache_hit", 0) + counters.get("preprocessed_cache_hit", 0)
    return CacheStats(launcher="ccache", hits=hits, misses=counters["cache_miss"])


def difference(before: CacheStats | None, after: CacheStats | None) -> CacheStats | None:
    """Return what happened between two readings of the same launcher."""
    if after is None:
        return None
    if before is None:
        return after
    detail = {key: value - before.detail.get(key, 0) for key, value in after.detail.items()}
    return CacheStats(
        launcher=after.launcher,
        hits=after.hits - before.hits,
        misses=after.misses - before.misses,
        detail={key: value for key, value in detail.items() if value},
    )
