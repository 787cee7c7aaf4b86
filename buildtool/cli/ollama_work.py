"""What the commands that change an Ollama share: who is meant, what is asked, how a way becomes a runner in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from buildtool.cli.console import print_json

if TYPE_CHECKING:
    from buildtool.cli.progress import Reporter
    from buildtool.deploy.enable import Build, Plan, Wish
    from buildtool.deploy.install import Hands
    from buildtool.deploy.journal import Purpose
    from buildtool.deploy.model import Installation
    from buildtool.deploy.order import Order, Outcome
    from buildtool.deploy.site import Site
    from buildtool.probe.model import Device


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


def this_site() -> Site:
    """Return this machine's files."""
    from buildtool.deploy.site import this_machine

    return this_machine()


def hands_of(
    site: Site, devices: tuple[Device, ...], prefix: str | None, talk: Asker, *, reads_only: bool = False
) -> Hands:
    """Find the one installation that is meant, and finish what an earlier run left open, unless nothing may change.

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
    if reads_only or not hands.recover():
        return hands
    return Hands(site, status(site, devices, prefix).installations[0], talk)


def device_of(one: Installation, devices: tuple[Device, ...]) -> Device:
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


def make_and_put(hands: Hands, chosen: Plan, wish: Wish, *, as_json: bool, purpose: Purpose = "enable") -> None:
    """Make what the way comes to, and put it into place; without the rights, name root's one step."""
    from buildtool.cli.progress import Reporter
    from buildtool.deploy import enable as room
    from buildtool.deploy import waiting
    from buildtool.deploy.rights import RightsError, as_root

    place = waiting.waiting_place()
    stays = False
    try:
        with Reporter(quiet=as_json) as reporter:
            build = _builder(place, reporter, wish.source)
            order = room.stage(hands.site, hands.one, chosen, wish, build, reporter.downloads(), place / "runner")
        finish(hands, order, wish, as_json=as_json, purpose=purpose)
    except RightsError as error:
        stays = True
        words = ["ollama", "enable", "--prefix", hands.one.prefix, "--staged", str(place)]
        error.hint = as_root([*words, "--sha256", waiting.leave(place, order), *(["--now"] if wish.now else [])])
        raise
    finally:
        if not stays:
            waiting.forget(place)


def finish(hands: Hands, order: Order, wish: Wish, *, as_json: bool, purpose: Purpose = "enable") -> None:
    """Check what was staged, put it into place and prove it."""
    from buildtool.deploy import enable as room

    room.said(Asker(yes=True, quiet=as_json), room.check(hands, order))
    prove = room.prover(hands, order)
    outcome = hands.put(order, prove, purpose=purpose, now=wish.now)
    print_outcome(outcome, as_json=as_json)


def llama_cpp_source(name: str) -> str:
    """Return what somebody named as llama.cpp's source, its path made absolute.

    Raises:
        InvalidInputError: there is no such folder, or it is a checkout of Ollama.
    """
    from buildtool.cli.request import absolute_source
    from buildtool.errors import InvalidInputError
    from buildtool.source.ollama import recognise

    source = absolute_source(name)
    if Path(source).is_dir() and recognise(Path(source)) is not None:
        what = f"{source} is a checkout of Ollama; a runner is built from llama.cpp."
        hint = f"Build the checkout (gpubuild compile --source {name}), then: gpubuild ollama enable --from its runner."
        raise InvalidInputError(what, hint=hint)
    return source


def _builder(place: Path, reporter: Reporter, named: str) -> Build:
    """Return what builds a backend wheel, as ``gpubuild compile`` does; `named`: the source that somebody named."""

    def build(source: str, backend: str, target: str) -> Path:
        from buildtool.build import BuildOptions
        from buildtool.cli import request as ask
        from buildtool.cli.compile import make_wheels
        from buildtool.deploy.pins import unreachable
        from buildtool.errors import NetworkError, UnknownNameError
        from buildtool.toolchain import require_usable
        from buildtool.wheel import Want

        vendor = backend != "vulkan"  # Vulkan's loader is the driver's, so nothing has to travel
        targets, runtime = ([target], "bundle") if vendor else (None, None)
        wish = ask.Wish(backend=backend, target=targets, source=source, runtime=runtime)
        plan = ask.make_plan(wish, None)
        require_usable(plan.toolkit)
        try:
            made = make_wheels(plan, BuildOptions(), place / "dist", reporter, Want(role="backend"))
        except (NetworkError, UnknownNameError) as error:
            if named or plan.source.kind != "git":
                raise
            raise unreachable(source, error) from error
        return Path(made.wheels[0].path)

    return build


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print what came out of a change."""
    from buildtool.cli.ollama_words import outcome_lines

    if as_json:
        print_json(outcome)
    else:
        typer.echo("\n".join(outcome_lines(outcome)))
