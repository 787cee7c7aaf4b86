"""``gpubuild ollama enable``, ``restore`` and ``reapply``: parse, call the room, show what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host
from buildtool.cli.ollama import Card, Json, Prefix, find_devices, ollama_app

if TYPE_CHECKING:
    from buildtool.deploy.enable import Build, Plan, Wish
    from buildtool.deploy.install import Hands, Order, Outcome
    from buildtool.deploy.journal import Purpose
    from buildtool.deploy.model import Installation
    from buildtool.deploy.site import Site
    from buildtool.probe.model import Device

Method = Literal["auto", "igpu", "override", "retarget", "compile", "vulkan"]
ENABLE_EPILOG = """
[bold]Examples[/bold]

gpubuild ollama enable  (the best way for this machine's card; shows it and asks)

gpubuild ollama enable --for-device "RX 6600" --method retarget

gpubuild ollama enable --dry-run  (only show the ways)

gpubuild ollama enable --from dist/gpubuild_llama_cuda13-*.whl  (a backend that is built already)

gpubuild ollama enable --print-script > enable.sh  (nothing is done; read it, then run it)

gpubuild ollama restore  (out again, exactly as it was)

[bold]Exit codes[/bold]: 4 no way holds, 10 no rights or space, 13 the proof failed, 19 the service did not come back;
after 13 and 19 everything is as it was before.
"""
Now = Annotated[bool, typer.Option("--now", help="Restart although a model is loaded.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


class Asker:
    """Says things on standard error, and asks on the terminal."""

    def __init__(self, *, yes: bool, quiet: bool) -> None:
        self._yes, self._quiet = yes, quiet

    def note(self, text: str) -> None:
        """Say something in passing."""
        if not self._quiet:
            typer.echo(text, err=True)

    def ask(self, question: str) -> bool:
        """Ask something; no answer is an error."""
        from buildtool.errors import InputEndedError

        if self._yes:
            return True
        try:
            typer.echo(f"{question} [y/N]: ", nl=False, err=True)
            return input().strip().lower() in {"y", "yes"}
        except EOFError as error:
            typer.echo(err=True)
            what = "A question was asked, and nobody answered."
            raise InputEndedError(what, hint="--yes answers with yes.") from error


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
    from buildtool.deploy.enable import Wish, forget, pick_up, plan

    talk = Asker(yes=yes, quiet=as_json)
    site, host = _here(), find_host(host_file, replay)
    devices = find_devices(for_device, host_file, replay)
    hands = _hands(site, devices, prefix, talk)
    wish = Wish(method=method, built=built, model=model, now=now, watch=watch, unproved=unproved)
    if staged is not None:
        _finish(hands, pick_up(staged, sha256), wish, as_json=as_json)
        forget(staged)
        return
    chosen = plan(hands.one, _device(hands.one, devices), host, wish)
    if not as_json or dry_run:
        _show(chosen, as_json=as_json and dry_run, aside=print_script)
    if chosen.chosen.method == "served" or dry_run:
        return
    if print_script:
        from buildtool.deploy.script import script

        typer.echo(script(site, hands.one, chosen, wish, host.os.system))
        return
    if not yes and not talk.ask("Do it?"):
        typer.echo("Nothing was changed.")
        return
    _make_and_put(hands, chosen, wish, as_json=as_json)


def _here() -> Site:
    from buildtool.deploy.site import this_machine

    return this_machine()


def _hands(site: Site, devices: tuple[Device, ...], prefix: str | None, talk: Asker) -> Hands:
    """Find the one installation that is meant, and finish what an earlier run left open.

    Raises:
        MissingToolError: there is none.
        InvalidInputError: there are several.
    """
    from buildtool.deploy.install import Hands
    from buildtool.deploy.status import status
    from buildtool.errors import InvalidInputError, MissingToolError

    found = status(site, devices, prefix)
    if not found.installations:
        what = "There is no Ollama on this machine."
        raise MissingToolError(what, hint="Install it (https://ollama.com/download), or name it: --prefix DIR.")
    if len(found.installations) > 1:
        what = f"There are {len(found.installations)} installations of Ollama."
        details = tuple(f"--prefix {one.prefix}  ({one.version.value or '?'})" for one in found.installations)
        raise InvalidInputError(what, hint="Name one with --prefix.", details=details)
    hands = Hands(site, found.installations[0], talk)
    if not hands.recover():
        return hands
    return Hands(site, status(site, devices, prefix).installations[0], talk)


def _device(one: Installation, devices: tuple[Device, ...]) -> Device:
    """Return the device that is meant: the first that is not used yet.

    Raises:
        InvalidInputError: there is no GPU.
    """
    from buildtool.errors import InvalidInputError

    if not devices:
        what = "No GPU was found."
        raise InvalidInputError(what, hint='Name the card: --for-device "RX 6600".')
    waiting = (two for two, verdict in zip(devices, one.verdicts, strict=True) if verdict.state != "used")
    return next(waiting, devices[0])


def _show(chosen: Plan, *, as_json: bool, aside: bool) -> None:
    """Print the plan; aside, on standard error, where the result is a script."""
    from buildtool.cli.ollama_words import plan_lines

    if as_json:
        print_json(chosen)
    else:
        typer.echo("\n".join(plan_lines(chosen)), err=aside)


def _make_and_put(hands: Hands, chosen: Plan, wish: Wish, *, as_json: bool, purpose: Purpose = "enable") -> None:
    """Make what the way comes to, and put it into place; without the rights, name root's one step."""
    from buildtool.cli.progress import Reporter
    from buildtool.deploy import enable as room
    from buildtool.deploy.rights import RightsError, as_root

    place = room.waiting_place()
    stays = False
    try:
        with Reporter(quiet=as_json) as reporter:
            folder = place / "runner"
            order = room.stage(hands.site, hands.one, chosen, wish, _builder(place), reporter.downloads(), folder)
        _finish(hands, order, wish, as_json=as_json, purpose=purpose)
    except RightsError as error:
        stays = True
        words = ["ollama", "enable", "--prefix", hands.one.prefix, "--staged", str(place)]
        error.hint = as_root([*words, "--sha256", room.leave(place, order), *(["--now"] if wish.now else [])])
        raise
    finally:
        if not stays:
            room.forget(place)


def _finish(hands: Hands, order: Order, wish: Wish, *, as_json: bool, purpose: Purpose = "enable") -> None:
    """Check what was staged, put it into place and prove it."""
    from buildtool.deploy import enable as room

    unproved = wish.unproved
    room.said(Asker(yes=True, quiet=as_json), room.check(hands, order, unproved=unproved))
    prove = room.prover(hands, order, unproved=unproved)
    outcome = hands.put(order, prove, purpose=purpose, now=wish.now)
    _print(outcome, as_json=as_json)


def _builder(place: Path) -> Build:
    """Return what builds a backend wheel, as ``gpubuild compile`` does."""

    def build(source: str, backend: str, target: str) -> Path:
        from buildtool.cli.compile import compile_command
        from buildtool.errors import BuildError

        out = place / "dist"
        targets = [target] if backend != "vulkan" else None
        compile_command(backend=backend, target=targets, source=source, runtime="bundle", out=out)
        found = sorted(out.glob(f"gpubuild_llama_{backend}*.whl"))
        if not found:
            what = "The build gave no backend wheel."
            raise BuildError(what)
        return found[0]

    return build


def _print(outcome: Outcome, *, as_json: bool) -> None:
    from buildtool.cli.ollama_words import outcome_lines

    if as_json:
        print_json(outcome)
    else:
        typer.echo("\n".join(outcome_lines(outcome)))


@ollama_app.command("restore", epilog="Example: [bold]gpubuild ollama restore[/bold]  (exactly as it was before)")
def restore(prefix: Prefix = None, now: Now = False, yes: Yes = False, as_json: Json = False) -> None:
    """Take everything of gpubuild's out of the installed Ollama again, bit for bit."""
    hands = _hands(_here(), (), prefix, Asker(yes=yes, quiet=as_json))
    _print(hands.take_out(now=now), as_json=as_json)


@ollama_app.command("reapply", epilog="Example: [bold]gpubuild ollama reapply --now[/bold]  (after an upgrade)")
def reapply(
    prefix: Prefix = None, now: Now = False, yes: Yes = False, replay: ReplayOption = None,
    host_file: HostOption = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Put the runner back after an upgrade of Ollama took it away; do nothing where it is in place."""
    from buildtool.deploy import enable as room
    from buildtool.deploy.watch import is_on

    site, host, talk = _here(), find_host(host_file, replay), Asker(yes=yes or now, quiet=as_json)
    hands = _hands(site, (), prefix, talk)
    record, reasons = room.again(hands)
    if not reasons:
        typer.echo(f"Everything is in place: {record.method} for {record.device} ({record.target}).")
        return
    room.said(talk, (f"To do again: {reason}." for reason in reasons))
    devices = find_devices(record.target, host_file, replay)
    hands = _hands(site, devices, hands.one.prefix, talk)
    built = Path(record.built) if record.built else None
    wish = room.Wish(method=record.method, built=built, model=record.model, now=now, watch=is_on(record))
    chosen = room.plan(hands.one, devices[0], host, wish)
    _make_and_put(hands, chosen, wish, as_json=as_json, purpose="reapply")


__all__ = ["enable", "ollama_app", "reapply", "restore"]
