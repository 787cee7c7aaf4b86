"""``--replay TOOL=PATH``: recorded outputs instead of the machine."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.probe.machine import Machine, basename, join
from buildtool.probe.model import ToolkitInstall
from buildtool.probe.registry import PARSERS, parser
from buildtool.probe.sighting import Report
from buildtool.probe.toolkits import parse_hipconfig, parse_nvcc

MAX_BYTES = 32 << 20
TOOLKIT_TOOLS = {"nvcc-version": "cuda", "hipconfig": "rocm"}
TOOLS = (*PARSERS, "kfd", *TOOLKIT_TOOLS)


class Replayed(NamedTuple):
    """What recordings say: about GPUs, and about toolkits by kind."""

    reports: tuple[tuple[str, Report], ...]
    toolkits: dict[str, tuple[ToolkitInstall, ...]]
    warnings: tuple[str, ...]


def check_tool(name: str) -> None:
    """Make sure that `name` is a tool whose output can be replayed.

    Raises:
        UnknownNameError: it is not; says which ones are close.
    """
    if name in TOOLS:
        return
    close = difflib.get_close_matches(name, TOOLS, n=3, cutoff=0.5)
    what = f"There is no tool {name[:60]!r} to replay."
    raise UnknownNameError(
        what,
        hint=f"Did you mean {' or '.join(close)}?" if close else "Choose one of the tools listed.",
        details=() if close else (f"tools: {', '.join(TOOLS)}",),
    )


def read_recording(path: Path) -> str:
    """Read a recorded output, in UTF-8 or in the UTF-16 that PowerShell writes.

    Raises:
        InvalidInputError: it is missing, not a file, larger than 32 MiB, or no text.
    """
    try:
        if path.is_dir():
            what = f"The recording {path} is a directory."
            raise InvalidInputError(what, hint="Only kfd takes a directory; give the other tools a text file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"The recording {path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error), hint="Check the path.") from error
    if len(data) > MAX_BYTES:
        what = f"The recording {path} is larger than {MAX_BYTES >> 20} MiB."
        raise InvalidInputError(what, hint="No GPU tool prints that much; is it the right file?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        what = f"The recording {path} is binary, not the output of a tool."
        raise InvalidInputError(what, hint="Record it like this: nvidia-smi -q > smi.txt")
    return data.decode("utf-8-sig", "replace")


def replay_report(machine: Machine, tool: str, path: Path) -> Report:
    """Read one recording of a GPU tool."""
    if tool == "kfd":
        from buildtool.probe.sources import kfd

        return kfd.parse(kfd.read_nodes(machine, _topology(machine, path)))
    return parser(tool)(read_recording(path))


def _topology(machine: Machine, path: Path) -> str:
    """Accept ``nodes`` itself or a directory above it."""
    root = str(path)
    if not path.is_dir():
        what = f"The KFD recording {path} is not a directory."
        raise InvalidInputError(what, hint="Copy /sys/class/kfd/kfd/topology and name the copy.")
    nodes = join(machine, root, "nodes")
    return root if basename(machine, root) == "nodes" or not machine.exists(nodes) else nodes


def replay(machine: Machine, recordings: Mapping[str, Path]) -> Replayed:
    """Read all `recordings`, a mapping of tool to file.

    Raises:
        UnknownNameError: a tool whose output cannot be replayed.
        InvalidInputError: a recording that cannot be read.
    """
    for tool in recordings:
        check_tool(tool)
    reports = tuple(
        (tool, replay_report(machine, tool, path)) for tool, path in recordings.items() if tool not in TOOLKIT_TOOLS
    )
    found = {
        TOOLKIT_TOOLS[tool]: replay_toolkit(tool, path) for tool, path in recordings.items() if tool in TOOLKIT_TOOLS
    }
    warnings = tuple(text for _, said in found.values() for text in said)
    return Replayed(reports=reports, toolkits={kind: got for kind, (got, _) in found.items()}, warnings=warnings)


def replay_toolkit(tool: str, path: Path) -> tuple[tuple[ToolkitInstall, ...], tuple[str, ...]]:
    """Read one recording of a toolkit's tool; returns the toolkit, or a warning."""
    text = read_recording(path)
    if tool == "nvcc-version":
        nvcc = parse_nvcc(text)
        if nvcc is not None:
            return (ToolkitInstall(kind="cuda", version=nvcc.version, path="(replayed)", compiler="nvcc"),), ()
    else:
        hip = parse_hipconfig(text)
        if hip is not None:
            compiler = f"{hip.clang_path}/clang++" if hip.clang_path else None
            root = hip.rocm_path or hip.hip_path or "(replayed)"
            return (ToolkitInstall(kind="rocm", version=hip.hip_version, path=root, compiler=compiler),), ()
    return (), (f"{tool}: the recording {path.name} holds no version.",)
