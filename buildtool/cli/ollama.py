"""``gpubuild ollama``: what an installed Ollama does with the GPUs, and how it gets a runner for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host

if TYPE_CHECKING:
    from buildtool.deploy.model import Status
    from buildtool.deploy.site import Site
    from buildtool.probe.model import Device

EPILOG = "Start with: [bold]gpubuild ollama status[/bold]"
STATUS_EPILOG = """
[bold]Examples[/bold]

gpubuild ollama status  (every Ollama of this machine, and what it does with each GPU)

gpubuild ollama status --prefix ~/ollama  (only that one)

gpubuild ollama status --for-device "RX 6600"  (what would it do with that card?)

gpubuild ollama status --root /mnt/disk --host host.json  (another machine's files and GPUs)

It reads and changes nothing.
"""

ollama_app = typer.Typer(
    help="What an installed Ollama does with the GPUs of this machine.", no_args_is_help=True, epilog=EPILOG
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Prefix = Annotated[
    str | None, typer.Option("--prefix", metavar="DIR", help="The Ollama below this folder (it holds bin/ollama).")
]
Card = Annotated[
    str | None, typer.Option("--for-device", metavar="CARD", help='A card by name ("RX 6600"), or a target.')
]
Root = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="A copy of another machine's files: its / (or C).")
]


@ollama_app.callback()
def _root() -> None:
    """What an installed Ollama does with the GPUs of this machine."""


@ollama_app.command("status", epilog=STATUS_EPILOG)
def show_status(
    prefix: Prefix = None,
    for_device: Card = None,
    root: Root = None,
    replay: ReplayOption = None,
    host_file: HostOption = None,
    as_json: Json = False,
) -> None:
    """Show every Ollama: version, llama.cpp, runners, service, models, log, and what it does with each GPU."""
    from buildtool.cli.ollama_words import lines
    from buildtool.deploy.status import status

    site = find_site(root)
    found = status(site, find_devices(for_device, host_file, replay), prefix)
    if as_json:
        print_json(found)
        return
    _require_one(found)
    typer.echo("\n".join(lines(found)))


def find_site(root: Path | None) -> Site:
    """Return the machine in question: a copy, or this one."""
    from buildtool.deploy.site import copied, this_machine

    return copied(root) if root is not None else this_machine()


def find_devices(card: str | None, host_file: Path | None, replay: list[str] | None) -> tuple[Device, ...]:
    """Return the devices in question: the named one, or those of the machine.

    Raises:
        UnknownNameError: nobody knows such a card.
    """
    host = find_host(host_file, replay)
    if card is None:
        return host.devices
    from buildtool.compat.devices import card_targets, products_of
    from buildtool.probe.model import Device

    (target, *_) = card_targets(card)
    known = [one for one in host.devices if one.target == str(target)]
    name = card if card != str(target) else products_of(target) or card
    vendor = {"cuda": "nvidia", "rocm": "amd"}[target.platform]
    return tuple(known) or (Device(vendor=vendor, name=name, target=str(target), source="named"),)  # type: ignore[arg-type]


def _require_one(found: Status) -> None:
    from buildtool.errors import MissingToolError

    if not found.installations:
        what = "There is no Ollama on this machine."
        hint = "Install it (https://ollama.com/download), or name its folder: --prefix DIR."
        raise MissingToolError(what, hint=hint, details=found.notes)
