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


def find_host(
    file: Path | None = None, replay: list[str] | None = None, *, offers: bool = True, inside: str | None = None
) -> Host:
    """Describe the machine in question: the one of a file, or this one; recordings replace its GPUs.

    Args:
        file: what ``gpubuild detect --json`` printed there.
        replay: recordings, as ``TOOL=PATH``.
        offers: ask the servers of toolkits that the environment names what they have.
        inside: a container image whose compilers and toolkits take the place of the machine's.

    Raises:
        UnknownNameError: a recording of a tool nobody knows.
        InvalidInputError: a file or recording that cannot be read, or an address or image that cannot be one.
        MissingToolError: no container engine, or it has no such image.
    """
    from buildtool.probe import detect, detect_recorded

    recordings = _recordings(replay or [])
    host = detect_recorded(file, recordings) if file is not None else detect(recordings)
    if inside is not None:
        from buildtool.toolchain.container.engine import find_engine, find_image
        from buildtool.toolchain.container.look import host_with

        engine = find_engine(inside)
        return host_with(engine, find_image(engine, inside), host)
    return with_offers(host) if offers else host


def with_offers(host: Host) -> Host:
    """Return the machine with what named servers of toolkits have for it; one that does not answer is told of.

    Raises:
        InvalidInputError: a server's address cannot be one.
    """
    from buildtool.toolchain.vendor.offers import look, named

    if not named():
        return host
    import msgspec

    from buildtool.cli.console import print_note
    from buildtool.compat.options import platform_of

    offered, failures = look(platform_of(host))
    for error in failures:
        print_note(f"{error.what} {error.why}".rstrip(". ") + ". The plan is made without it.")
    return msgspec.structs.replace(host, offered=offered)


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
