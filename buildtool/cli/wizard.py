"""``gpubuild wizard``: asks only what it cannot find out, shows the ways, and runs the one that is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json
from buildtool.cli.machine import HostOption, ReplayOption, find_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildtool.cli.conversation import Answers, Conversation
    from buildtool.compat.guide import Choice, Script
    from buildtool.compat.ladder import Rung, Served
    from buildtool.probe.model import Host

EPILOG = """
[bold]Examples[/bold]

gpubuild wizard  (for the machine in front of you)

gpubuild wizard --for-device "RX 6600"  (for a card by its name)

gpubuild wizard --yes  (ask nothing, take the best way, run it)

gpubuild wizard --answers answers.toml  (card = "RX 6600", way = "recompile", run = true)

gpubuild wizard --host host.json  (for the machine where gpubuild detect --json wrote it; runs nothing)

[bold]Exit codes[/bold]: 17 nobody answered, 130 stopped with Ctrl-C; else those of the commands it runs.
"""
INTERRUPTED = 130


def wizard(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    for_device: Annotated[
        str | None, typer.Option("--for-device", metavar="CARD", help='A card by name ("RX 6600"), or a target.')
    ] = None,
    have: Annotated[
        Path | None,
        typer.Option("--have", metavar="PATH", help="A binary or folder that may serve the card already."),
    ] = None,
    replay: ReplayOption = None,
    host_file: HostOption = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", metavar="FILE", help="Answers in TOML: card, have, way, run.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the best way and run it.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Ask nothing, run nothing: print ladder, choice and commands as JSON.")
    ] = False,
) -> None:
    """Find the best way to serve a card, step by step, and run it."""
    from buildtool.cli.conversation import Answers, Conversation, load_answers

    given = load_answers(answers) if answers is not None else Answers()
    talk = Conversation(_with_options(given, for_device, have), silent=yes or as_json, consents=yes)
    elsewhere = host_file is not None or bool(replay)
    host = find_host(host_file, replay)
    try:
        commands = _talk(talk, host, elsewhere=elsewhere, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("\nStopped; nothing was run.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for words in commands:
        _run(words, context)


def _with_options(given: Answers, card: str | None, have: Path | None) -> Answers:
    from msgspec.structs import replace

    found = replace(given, card=card) if card is not None else given
    return replace(found, have=str(have)) if have is not None else found


def _talk(talk: Conversation, host: Host, *, elsewhere: bool, as_json: bool) -> Sequence[tuple[str, ...]]:
    """Hold the conversation; return the commands that shall run here and now."""
    from buildtool.compat import guide
    from buildtool.compat.ladder import choose
    from buildtool.compat.model import Request

    if not as_json:
        typer.echo(_machine_words(host))
    choice = talk.card(host)
    if not as_json:
        typer.echo(f"For: {choice.words}")
    have = talk.answers.have or (None if elsewhere else _installed())
    while True:
        served = _read(Path(have), choice) if have is not None else None
        rungs = guide.rungs_of(choice, host, Request(), served)
        if not as_json:
            _show(rungs)
        rung = talk.way(rungs, choose(rungs))
        if not guide.needs_path(rung):
            break
        have = str(talk.path())
    steps = guide.script(rung, choice, host)
    if as_json:
        _print_json(choice, rungs, rung, steps, host.os.system)
        return ()
    return _finish(talk, rung, steps, host.os.system, elsewhere=elsewhere)


def _machine_words(host: Host) -> str:
    cards = len(host.devices)
    return f"Machine: {host.os.name}, {host.os.machine}; {cards or 'no'} GPU{'' if cards == 1 else 's'} found."


def _installed() -> str | None:
    from buildtool.probe.binaries import find_ollama

    return find_ollama()


def _read(path: Path, choice: Choice) -> Served | None:
    if len(choice.targets) != 1:
        return None
    from buildtool.cli.ladder import read_served

    typer.echo(f"Reading {path} ...", err=True)
    return read_served(path, choice.targets[0])


def _show(rungs: Sequence[Rung]) -> None:
    from buildtool.cli.ladder import table
    from buildtool.compat.ladder import choose

    typer.echo("\n" + "\n".join(table(rungs, choose(rungs))) + "\n")


def _finish(
    talk: Conversation, rung: Rung, steps: Script, system: str, *, elsewhere: bool
) -> Sequence[tuple[str, ...]]:
    from buildtool.cli.ladder import script_lines

    typer.echo("\n" + "\n".join(script_lines(rung, steps, system)) + "\n")
    if elsewhere:
        typer.echo("This is for the machine that was described, so nothing is run here.")
    elif steps.first:
        _refuse_to_install(talk)
    elif steps.commands and talk.consent():
        return steps.commands
    else:
        typer.echo("Nothing was run.")
    return ()


def _refuse_to_install(talk: Conversation) -> None:
    from buildtool.errors import MissingToolError

    what = "Nothing was run: something has to be installed first, not by gpubuild."
    if talk.wants_to_run:
        raise MissingToolError(what, hint="Install it with the lines above, then run the wizard again.")
    typer.echo(f"{what}\nRun the wizard again when it is there.")


def _print_json(choice: Choice, rungs: Sequence[Rung], rung: Rung, steps: Script, system: str) -> None:
    print_json(
        {
            "schema": 1,
            "card": choice.name,
            "targets": [str(one) for one in choice.targets],
            "ladder": rungs,
            "chosen": rung.step,
            "script": steps,
            "lines": steps.lines(system),
        }
    )


def _run(words: Sequence[str], context: typer.Context) -> None:
    """Run one of gpubuild's own commands in this process, so that its progress and its errors are its own."""
    from buildtool.shell import command_line, here

    typer.echo(f"\n$ {command_line(words, here())}")
    result = context.find_root().command.main(list(words[1:]), standalone_mode=False)
    if isinstance(result, int) and result:
        raise typer.Exit(result)
