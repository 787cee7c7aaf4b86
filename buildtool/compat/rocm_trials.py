"""What compilers made of the heaviest kernels: ``data/rocm_trials.toml``, written by ``tools/gfx_trials.py``."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from importlib import resources
from typing import Literal

import msgspec

from buildtool.compat.model import Decision
from buildtool.compat.tables import Row, decode_table
from buildtool.compat.targets import Target


class RocmTrial(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of compiling one kernel file for one AMD target; the fields are described at the head of the table."""

    target: str
    file: str
    toolkit: str
    tree: str
    patches: tuple[str, ...] = ()
    day: dt.date
    result: Literal["compiles", "fails"]
    seconds: float
    error: str = ""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    trial: tuple[RocmTrial, ...] = ()


@functools.cache
def rocm_trials() -> tuple[RocmTrial, ...]:
    """Return every trial, in the order of the table.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.compat").joinpath("data", "rocm_trials.toml").read_text("utf-8")
    return decode_table(text, _Table, "rocm_trials.toml").trial


def explain_trials(trials: Iterable[RocmTrial], targets: Iterable[Target]) -> list[Decision]:
    """Return what a compiler made of the heaviest kernels for the AMD targets of a build, in words.

    Args:
        trials: rows of the table.
        targets: the targets of the build; those of other platforms have no trial.
    """
    known = tuple(trials)
    return [_told(target, [row for row in known if row.target == target.chip]) for target in targets if _amd(target)]


def _amd(target: Target) -> bool:
    return target.platform == "rocm"


def _told(target: Target, rows: list[RocmTrial]) -> Decision:
    bad = next((row for row in rows if row.result == "fails"), None)
    sources = tuple(dict.fromkeys(source for row in rows for source in row.source))
    if not rows:
        choice, reason = f"{target} not tried", "nobody has compiled the heaviest kernels for it with gpubuild"
    elif bad is not None:
        choice, reason = f"{target} fails", f"{bad.file} with {bad.toolkit.replace('==', ' ')}: {bad.error}"
    else:
        toolkit = rows[0].toolkit.replace("==", " ")
        choice = f"{target} compiles"
        reason = f"the {len(rows)} heaviest kernel files, with {toolkit}; compiled, not run on a card"
    return Decision(subject="trial", choice=choice, rule="trial", reason=reason, sources=sources)
