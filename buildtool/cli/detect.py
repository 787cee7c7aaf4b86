"""``gpubuild detect``: show what this machine (or a recording of another) offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host

if TYPE_CHECKING:
    from buildtool.probe.model import Device, Host

EPILOG = (
    "Examples:\n\n"
    "  gpubuild detect\n\n"
    "  gpubuild detect --json\n\n"
    "  gpubuild detect --replay nvidia-smi-q=smi.txt --replay rocminfo=rocminfo.txt\n\n"
    "  gpubuild detect --json > host.json   (and elsewhere: gpubuild plan --host host.json)\n\n"
    "  GPUBUILD_DEVICES=sm_90,gfx1032 gpubuild detect"
)
WIDTH = 80


def detect(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    replay: ReplayOption = None,
    host_file: HostOption = None,
) -> None:
    """Show GPUs, drivers, toolkits, compilers and build tools of this machine."""
    host = find_host(host_file, replay, offers=False)
    if as_json:
        print_json(host)
        return
    typer.echo("\n".join(_lines(host, replayed=bool(replay or host_file))))


def _lines(host: Host, *, replayed: bool) -> list[str]:
    lines = _devices(host, replayed=replayed)
    lines += _section(
        "Drivers", [f"{d.name} {d.version}" + (f" (CUDA {d.cuda})" if d.cuda else "") for d in host.drivers]
    )
    lines += _section("Toolkits", [f"{t.kind} {t.version or '?'}  {t.path}" for t in host.toolkits])
    lines += _section("Compilers", [f"{c.family} {c.version}  {c.cxx}" for c in host.host_compilers])
    lines += _section("Tools", [", ".join(f"{t.name} {t.version or '?'}" for t in host.tools)] if host.tools else [])
    libc = f"{host.libc.name} {host.libc.version or ''}".strip() if host.libc else "no known libc"
    place = ", in WSL" if host.os.wsl else ""
    place += f", in a {host.os.container} container" if host.os.container else ""
    memory = f", {host.memory_mib / 1024:.1f} GiB memory" if host.memory_mib else ""
    lines += _section(
        "System",
        [
            f"{host.os.name} ({host.os.machine}{place})",
            f"{libc}, {host.cpus} CPUs{memory}, Linux {host.os.kernel}"
            if host.os.system == "linux"
            else f"{libc}, {host.cpus} CPUs{memory}",
        ],
    )
    lines += _section("Warnings", list(host.warnings), mark="! ")
    return lines


def _devices(host: Host, *, replayed: bool) -> list[str]:
    if not host.devices:
        return _no_device(replayed=replayed)
    rows = [_row(device) for device in host.devices]
    header = ("Target", "Device", "Memory", "PCI address", "Source")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    # The name gives way so that a row fits a terminal of 80 columns.
    widths[1] = max(12, min(widths[1], WIDTH - sum(widths) + widths[1] - 2 * (len(header) - 1)))
    return [_join(row, widths) for row in (header, *rows)]


def _row(device: Device) -> tuple[str, ...]:
    kind = " (integrated)" if device.integrated else ""
    state = "" if device.usable else " (not usable)"
    memory = f"{device.vram_mib / 1024:.1f} GiB" if device.vram_mib else "?"
    return (device.target or "?", device.name + kind + state, memory, device.pci or "-", device.source)


def _join(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        (text if len(text) <= width else text[: width - 3] + "...").ljust(width)
        for text, width in zip(row, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _no_device(*, replayed: bool) -> list[str]:
    import os

    from buildtool.probe.model import DEVICES_VARIABLE

    if replayed:
        return ["No GPU in the recording."]
    if DEVICES_VARIABLE in os.environ:
        return [f"No GPU: {DEVICES_VARIABLE} says so."]
    from buildtool.probe.devices import searched

    names = ", ".join(searched())
    return [
        "No GPU found.",
        *_wrapped(f"Looked at: {names}.", "  "),
        *_wrapped(
            "To build for a GPU that is elsewhere: gpubuild compile --target gfx1032, or set GPUBUILD_DEVICES.", "  "
        ),
    ]


def _section(title: str, items: list[str], mark: str = "") -> list[str]:
    if not items:
        return []
    return ["", title, *(line for item in items for line in _wrapped(item, "  ", mark))]


def _wrapped(text: str, indent: str, mark: str = "") -> list[str]:
    import textwrap

    later = indent + " " * len(mark)
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent + mark,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
