"""Refusals that come from the machine: its host compilers and its C library, in words."""

from __future__ import annotations

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.known_bad import breaking, holds
from buildtool.compat.rules import INSTALLABLE, LIBC, TOOLKIT, Candidate
from buildtool.compat.versions import Release


def compiler_words(case: Case, tried: tuple[Candidate, ...]) -> str:
    """Say which host compilers the toolkits in question accept, and which are here."""
    here = ", ".join(sorted(f"{one.family} {one.version}" for one in case.compilers))
    options = [one.option for one in tried if one.option is not None and one.broken <= INSTALLABLE]
    rows = {option.cuda.version: option.cuda for option in options if option.cuda is not None}
    if not rows:
        return f"No host compiler here fits (found: {here})."
    spans: dict[str, list[Release]] = {}
    for row in sorted(rows.values(), key=lambda row: row.release, reverse=True):
        spans.setdefault(_limits(case, row), []).append(row.release)
    limits = "; ".join(f"CUDA {_span(found)} {words}" for words, found in spans.items())
    found_bad = [breaking(option, one) for one in case.compilers for option in options]
    known = {bad.id: bad for bad in found_bad if bad is not None}
    more = "".join(f" {bad.what} (seen as: {bad.error})." for bad in known.values())
    return f"{limits}; found here: {here}.{more}"


def _limits(case: Case, row: tables.CudaToolkit) -> str:
    words = f"gcc {row.gcc[0]} to {row.gcc[1]}"
    has_clang = any(one.family == "clang" for one in case.compilers)
    return words + (f" and clang {row.clang[0]} to {row.clang[1]}" if has_clang else "")


def _span(releases: list[Release]) -> str:
    oldest, newest = min(releases), max(releases)
    return f"{newest} accepts" if oldest == newest else f"{oldest} to {newest} accept"


def libc_words(case: Case, tried: tuple[Candidate, ...]) -> str:
    """Say why the headers of the toolkits in question do not compile with this machine's C library."""
    libc = case.host.libc
    if libc is not None and libc.name == "musl":
        return "The CUDA toolkit needs glibc; this machine has musl."
    version = libc.version if libc is not None else ""
    fitting = [row for row in tables.cuda_toolkits() if not row.glibc_max or _at_most(version or "0", row.glibc_max)]
    first = f"; CUDA {fitting[0].version} and newer do" if fitting else ""
    tried_here = [one.option for one in tried if LIBC in one.broken and TOOLKIT not in one.broken]
    broken = [option for option in tried_here if option is not None]
    newest = max(broken, key=lambda option: option.release, default=None)
    seen = next((row for row in tables.known_bad() if row.glibc and holds(row, newest, frozenset(), case.host)), None)
    words = f" (seen as: {seen.error})" if seen is not None else ""
    return f"The headers of older CUDA toolkits do not compile with glibc {version}{first}{words}."


def _at_most(version: str, newest: str) -> bool:
    return Release.parse(version) <= Release.parse(newest)
