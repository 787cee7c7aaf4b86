"""Build tools on PATH and their versions."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial

from buildtool.probe.gather import gather
from buildtool.probe.machine import Machine, dirname
from buildtool.probe.model import Tool

TIMEOUT_S = 2.0
# Whether these are there is what matters; some take a tenth of a second to tell their version.
UNASKED = ("podman", "docker", "bwrap", "mmdebstrap")
NAMES = ("cmake", "ninja", "git", "ccache", "sccache", "uv", *UNASKED)
# These come from wheels as small Python programs: starting one costs a whole interpreter, its metadata nothing.
WHEELS = ("cmake", "ninja", "uv")


def tools(machine: Machine) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Find the tools of `NAMES`.

    Returns:
        The tools, and warnings about those that did not answer; these are listed without a version.
    """
    paths = {name: path for name in NAMES if (path := machine.which(name)) is not None}
    questions: dict[str, Callable[[], str | None]] = {
        name: partial(_version, machine, name, path) for name, path in paths.items() if name not in UNASKED
    }
    answers, failures = gather(questions, TIMEOUT_S * 1.5)
    found = tuple(Tool(name=name, version=answers.get(name), path=path) for name, path in paths.items())
    return found, tuple(f"The program {paths[name]} {why}." for name, why in failures.items())


def parse_version(text: str) -> str | None:
    """Return the first dotted version number of a ``--version`` output."""
    match = re.search(r"(?<![\w.])v?(\d{1,4}\.\d{1,4}(?:\.\d{1,6}){0,2})", text[:2000], re.ASCII)
    return match[1] if match else None


def _version(machine: Machine, name: str, path: str) -> str | None:
    if name in WHEELS and dirname(machine, path) == dirname(machine, sys.executable):
        version = _wheel_version(name)
        if version is not None:
            return version
    output = machine.run((path, "--version"), TIMEOUT_S)
    return parse_version(output.text) if output is not None and not output.timed_out else None


def _wheel_version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return parse_version(version(name))
    except PackageNotFoundError:
        return None
