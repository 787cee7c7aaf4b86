"""``gpubuild ollama enable``, ``restore`` and ``reapply``: parse, call the room, show what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host
from buildtool.cli.ollama import Card, Json, Prefix, find_devices, ollama_app
from buildtool.cli.ollama_work import (
    Asker,
    device_of,
    finish,
    hands_of,
    llama_cpp_source,
    make_and_put,
    print_outcome,
    this_site,
)  # fmt: skip

if TYPE_CHECKING:
    from buildtool.deploy.enable import Plan
    from buildtool.deploy.install import Hands
    from buildtool.deploy.journal import Purpose, Record
    from buildtool.deploy.order import Outcome

Method = Literal["auto", "igpu", "override", "retarget", "compile", "vulkan"]
ENABLE_EPILOG = """
[bold]Examples[/bold]

gpubuild ollama enable  (the best way for this machine's card; shows it and asks)

gpubuild ollama enable --for-device "RX 6600" --method retarget

gpubuild ollama enable --dry-run  (only show the ways)

gpubuild ollama enable --from dist/gpubuild_llama_cuda13-*.whl  (a backend that is built already)

gpubuild ollama enable --method compile --source ~/llama.cpp  (build from this tree, or from URL#TAG)

gpubuild ollama enable --print-script > enable.sh  (nothing is done; read it, then run it)

gpubuild ollama restore  (out again, exactly as it was)

[bold]Exit codes[/bold]: 4 no way holds, 10 no rights or space, 13 the proof failed, 19 the service did not come back;
after 13 and 19 everything is as it was before.
"""
Source = Annotated[
    str,
    typer.Option("--source", metavar="NAME|PATH|URL", help="Build from this llama.cpp, not from the one found."),
]
Now = Annotated[bool, typer.Option("--now", help="Restart although a model is loaded.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


@ollama_app.command("enable", epilog=ENABLE_EPILOG)
def enable(  # noqa: PLR0913, PLR0917 - one parameter per command-line option
    for_device: Card = None,
    method: Annotated[
        Method, typer.Option("--method", help="auto takes the first way of the ladder that holds.")
    ] = "auto",
    prefix: Prefix = None,
    built: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="A backend wheel or folder that is built already.")
    ] = None,
    source: Source = "",
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The installed model that the proof asks.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Do it again by itself after an upgrade (systemd).")] = False,
    unproved: Annotated[
        bool, typer.Option("--unproved", help="Also where llama-server lists no device with it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the ways and the one that is taken.")] = False,
    print_script: Annotated[
        bool, typer.Option("--print-script", help="Print the whole operation as a script; do nothing.")
    ] = False,
    staged: Annotated[
        Path | None, typer.Option("--staged", metavar="DIR", help="Only put into place what waits in this folder.")
    ] = None,
    sha256: Annotated[str, typer.Option("--sha256", metavar="HEX", help="Digest of what waits.")] = "",
    now: Now = False,
    yes: Yes = False,
    replay: ReplayOption = None,
    host_file: HostOption = None,
    as_json: Json = False,
) -> None:
    """Make the installed Ollama use a GPU, prove it, and take everything back when the proof fails."""
    from buildtool.deploy.enable import Wish, plan
    from buildtool.deploy.waiting import forget, pick_up

    talk = Asker(yes=yes, quiet=as_json)
    site, host = this_site(), find_host(host_file, replay)
    devices = find_devices(for_device, host_file, replay)
    hands = hands_of(site, devices, prefix, talk, reads_only=dry_run or print_script)
    tree = llama_cpp_source(source) if source else ""
    wish = Wish(method=method, built=built, source=tree, model=model, now=now, watch=watch, unproved=unproved)
    if staged is not None:
        finish(hands, pick_up(staged, sha256), wish, as_json=as_json)
        forget(staged)
        return
    chosen = plan(hands.one, device_of(hands.one, devices), host, wish)
    if not as_json or dry_run:
        _show(chosen, as_json=as_json and dry_run, aside=print_script)
    if dry_run:
        return
    if chosen.chosen.method == "served":
        if as_json:
            print_outcome(_nothing_done(hands, "enable", "served", chosen.chosen.reason), as_json=True)
        return
    if print_script:
        from buildtool.deploy.script import script

        typer.echo(script(site, hands.one, chosen, wish, host.os.system))
        return
    if not yes and not talk.ask("Do it?"):
        if as_json:
            print_outcome(_nothing_done(hands, "enable", chosen.chosen.method, "the answer was no"), as_json=True)
        else:
            typer.echo("Nothing was changed.")
        return
    make_and_put(hands, chosen, wish, as_json=as_json)


def _nothing_done(hands: Hands, purpose: Purpose, method: str, why: str) -> Outcome:
    """Return an outcome for programs that read JSON: nothing changed, and why."""
    from buildtool.deploy.order import Outcome

    return Outcome(purpose=purpose, method=method, prefix=hands.one.prefix, changed=(), notes=(why,))


def _show(chosen: Plan, *, as_json: bool, aside: bool) -> None:
    """Print the plan; aside, on standard error, where the result is a script."""
    from buildtool.cli.ollama_words import plan_lines

    if as_json:
        print_json(chosen)
    else:
        typer.echo("\n".join(plan_lines(chosen)), err=aside)


@ollama_app.command("restore", epilog="Example: [bold]gpubuild ollama restore[/bold]  (exactly as it was before)")
def restore(prefix: Prefix = None, now: Now = False, yes: Yes = False, as_json: Json = False) -> None:
    """Take everything of gpubuild's out of the installed Ollama again, bit for bit."""
    hands = hands_of(this_site(), (), prefix, Asker(yes=yes, quiet=as_json))
    print_outcome(hands.take_out(now=now), as_json=as_json)


@ollama_app.command("reapply", epilog="Example: [bold]gpubuild ollama reapply --now[/bold]  (after an upgrade)")
def reapply(
    prefix: Prefix = None, source: Source = "", now: Now = False, yes: Yes = False, replay: ReplayOption = None,
    host_file: HostOption = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Put the runner back after an upgrade of Ollama took it away; do nothing where it is in place."""
    from buildtool.deploy import enable as room
    from buildtool.deploy.watch import is_on

    site, host, talk = this_site(), find_host(host_file, replay), Asker(yes=yes or now, quiet=as_json)
    hands = hands_of(site, (), prefix, talk)
    record, reasons = room.again(hands)
    if not reasons:
        words = f"Everything is in place: {record.method} for {record.device} ({record.target})."
        if as_json:
            print_outcome(_nothing_done(hands, "reapply", record.method, words), as_json=True)
        else:
            typer.echo(words)
        return
    room.said(talk, (f"To do again: {reason}." for reason in reasons))
    devices = find_devices(record.target, host_file, replay)
    hands = hands_of(site, devices, hands.one.prefix, talk)
    built = Path(record.built) if record.built else None
    tree = llama_cpp_source(source) if source else _source_again(record, hands.one.llama_cpp.value or "", talk)
    wish = room.Wish(
        method=record.method, built=built, source=tree, model=record.model, now=now, watch=is_on(record),
        unproved=record.unproved,
    )  # fmt: skip
    chosen = room.plan(hands.one, devices[0], host, wish)
    make_and_put(hands, chosen, wish, as_json=as_json, purpose="reapply")


def _source_again(record: Record, llama_cpp: str, talk: Asker) -> str:
    """Return the source that was named when the runner was made, as far as it is one of this llama.cpp as well.

    A git repository is asked for the tag or commit that is needed now; a tree is of one llama.cpp only.
    """
    from buildtool.source.ollama import pinned_source

    if not record.source or llama_cpp == record.llama_cpp:
        return record.source
    url, _, ref = record.source.partition("#")
    if ref and not ref.startswith("sha256=") and pinned_source(llama_cpp):
        return f"{url}#{llama_cpp}"
    talk.note(f"{record.source} was named for llama.cpp {record.llama_cpp}; it is not taken for {llama_cpp or '?'}.")
    return ""


__all__ = ["enable", "ollama_app", "reapply", "restore"]
