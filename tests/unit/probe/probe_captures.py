"""The recorded outputs in ``shared/captures``: where they are, and which facts their index expects."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from buildtool.probe.machine import LocalMachine
from buildtool.probe.replay import replay_report
from buildtool.probe.sighting import Report

ROOT = Path(__file__).parents[3].parent / "shared" / "captures"
TOOLKIT_TOOLS = {"nvcc-version", "hipconfig"}


def index() -> list[dict[str, Any]]:
    """Return the rows of the index, none where the recordings are absent."""
    path = ROOT / "index.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["capture"] if path.exists() else []


def gpu_captures() -> list[dict[str, Any]]:
    return [row for row in index() if row["tool"] not in TOOLKIT_TOOLS]


def report(row: dict[str, Any]) -> Report:
    return replay_report(LocalMachine(), row["tool"], ROOT / row["path"])
