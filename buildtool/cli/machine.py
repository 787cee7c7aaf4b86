"""The options that say which machine is meant, when it is not the one in front of you."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.errors import InvalidInputError

if TYPE_CHECKING:
    from buildtool.probe.model import Host

PANEL = "For another machine"

ReplayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        metavar="TOOL=PATH",
        help="Read a recorded output instead of the machine. Tools: nvidia-smi-query, nvidia-smi-q, rocminfo, ...",
        rich_help_panel=PANEL,
    ),
]
HostOption = Annotated[
    Path | None,
    typer.Option(
        "--host",
        metavar="FILE",
        help="The machine that `gpubuild detect --json` described in this file.",
        rich_help_panel=PANEL,
    ),
]


def find_host(file: Path | None = None, replay: list[str] | None = None) -> Host:
    """Describe the machine in question: the one of a file, or this one; recordings replace its GPUs.

    Raises:
        UnknownNameError: a recording of a tool nobody knows.
        InvalidInputError: a file or recording that cannot be read.
    """
    from buildtool.probe import detect, detect_recorded

    recordings = _recordings(replay or [])
    return detect_recorded(file, recordings) if file is not None else detect(recordings)


def _recordings(values: list[str]) -> dict[str, Path]:
    recordings: dict[str, Path] = {}
    for value in values:
        tool, separator, path = value.partition("=")
        if not separator or not path:
            what = f"--replay needs TOOL=PATH, not {value[:80]!r}."
            raise InvalidInputError(what, hint="For example: --replay nvidia-smi-q=smi.txt")
        if tool in recordings:
            what = f"--replay names {tool} twice."
            raise InvalidInputError(what, hint="Give one recording for each tool.")
        recordings[tool] = Path(path)
    return recordings
