"""The wizard's questions: asked on the terminal, or answered beforehand by options and a file."""

from __future__ import annotations

import difflib
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import typer

from buildtool.errors import GpubuildError, InputEndedError, InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from buildtool.compat.guide import Choice
    from buildtool.compat.ladder import Rung
    from buildtool.probe.model import Host

LARGEST_BYTES = 1 << 20
WIDTH = 80
BEST = "best"
YES, NO = frozenset({"y", "yes"}), frozenset({"n", "no"})
AnswerT = TypeVar("AnswerT")


class Answers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is answered beforehand; None where the wizard has to ask.

    Attributes:
        card: a card by name, a target, ``all`` or ``cpu``.
        have: a binary or folder that may serve the card already.
        way: a rung of the ladder, or ``best``.
        run: whether to run the commands.
    """

    card: str | None = None
    have: str | None = None
    way: str | None = None
    run: bool | None = None


def load_answers(path: Path) -> Answers:
    """Read a TOML file of answers.

    Raises:
        UnknownNameError: an answer to a question nobody asks.
        InvalidInputError: it cannot be read, is no TOML, or an answer is of the wrong type.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.loads(file.read(LARGEST_BYTES).decode("utf-8-sig"))
    except OSError as error:
        what = f"The answers {path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error), hint="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"The answers {path} are not TOML."
        raise InvalidInputError(what, why=str(error), hint='Write them like: card = "RX 6600"') from error
    for name in values:
        if name not in Answers.__struct_fields__:
            near = difflib.get_close_matches(name, Answers.__struct_fields__, n=1, cutoff=0.4)
            what = f"The wizard asks for no {name!r}, which {path} answers."
            known = f"Answers: {', '.join(Answers.__struct_fields__)}."
            raise UnknownNameError(what, hint=f"Did you mean {near[0]}? {known}" if near else known)
    try:
        return msgspec.convert(values, Answers)
    except msgspec.ValidationError as error:
        what = f"An answer in {path} is of the wrong kind."
        raise InvalidInputError(what, why=str(error), hint='Write them like: card = "RX 6600", run = true') from error


class Conversation:
    """Asks what is not answered yet; a wrong answer is explained and asked for again, a prepared one is an error."""

    def __init__(self, answers: Answers, *, silent: bool, consents: bool) -> None:
        """Prepare.

        Args:
            answers: what is answered beforehand.
            silent: ask nothing, take what is offered.
            consents: the commands may run without a question.
        """
        self.answers = answers
        self._silent = silent
        self._consents = consents

    def card(self, host: Host) -> Choice:
        """Find out which card it is for.

        Raises:
            UnknownNameError: a prepared answer names no card.
            InvalidInputError: nobody may be asked, and nothing tells the card's target.
            InputEndedError: nobody answers.
        """
        from buildtool.compat import guide

        found, unclear = guide.choices(host), guide.unclear(host)
        if self.answers.card is not None:
            return pick_card(self.answers.card, found)
        if len(found) == 1:
            return found[0]
        if self._silent and not found and unclear:
            what = f"Nothing tells the target of {', '.join(unclear)}."
            raise InvalidInputError(what, hint='Name it: --for-device "RX 6600", or a target.')
        for number, one in enumerate(found, start=1):
            typer.echo(f"  {number}  {one.words}")
        if found:
            return self._ask("Which one? A number, or another card", "1", lambda text: pick_card(text, found))
        if unclear:
            typer.echo(f"Found, but nothing tells its target: {', '.join(unclear)}.")
        else:
            typer.echo("No GPU was found here.")
        question = "Which card is it for? Its name or target, or cpu"
        return self._ask(question, "" if unclear else "cpu", lambda text: pick_card(text, found))

    def way(self, rungs: Sequence[Rung], best: Rung) -> Rung:
        """Find out which rung to take.

        Raises:
            UnknownNameError: a prepared answer names no rung.
            IncompatibleError: a prepared answer names one that does not hold.
            InputEndedError: nobody answers.
        """
        if self.answers.way is not None:
            return pick_way(self.answers.way, rungs, best)
        number = str(rungs.index(best) + 1)
        return self._ask("Which way? A number", number, lambda text: pick_way(text, rungs, best))

    def path(self) -> Path:
        """Ask where a binary is that may serve the card.

        Raises:
            InvalidInputError: nobody may be asked.
            InputEndedError: nobody answers.
        """
        if self._silent:
            what = "No existing binary is known that serves the card already."
            raise InvalidInputError(what, hint="Name a file or folder: --have PATH.")
        return self._ask("Where is it? A file or folder with the backend in it", "", _existing)

    @property
    def wants_to_run(self) -> bool:
        """Whether it was said beforehand that the commands are to run."""
        return self.answers.run if self.answers.run is not None else self._consents

    def consent(self) -> bool:
        """Ask whether to run the commands.

        Raises:
            InputEndedError: nobody answers.
        """
        if self.answers.run is not None:
            return self.answers.run
        return self._consents or self._ask("Run them now? y or n", "n", _yes_or_no)

    def _ask(self, question: str, default: str, read: Callable[[str], AnswerT]) -> AnswerT:
        if self._silent and default:
            return read(default)
        prompt = f"{question} [{default}]: " if default else f"{question}: "
        while True:
            try:
                text = input(prompt).strip() or default
            except EOFError as error:
                typer.echo()
                what = "The input ended before the wizard was through; nothing was run."
                raise InputEndedError(what, hint="Answer by --yes or --answers FILE where nobody types.") from error
            try:
                return read(text)
            except GpubuildError as error:
                words = " ".join(filter(None, (error.what, error.why, error.hint)))
                lines = textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
                typer.echo("\n".join(lines))


def pick_card(text: str, found: Sequence[Choice]) -> Choice:
    """Read which card is meant: a number of the list, ``all``, ``cpu``, a name or a target.

    Raises:
        UnknownNameError: nobody knows such a card.
        InvalidInputError: a number that is not on the list, or ``all`` where there is only one.
    """
    from buildtool.compat.devices import card_targets, is_target
    from buildtool.compat.guide import named

    word = text.strip()
    if word.lower() == "cpu":
        return named(())
    if word.isdecimal() and found:
        if 1 <= int(word) <= len(found):
            return found[int(word) - 1]
        what = f"There is no number {word} on the list."
        raise InvalidInputError(what, hint=f"Choose from 1 to {len(found)}.")
    together = [one for one in found if len(one.targets) > 1]
    if word.lower() == "all":
        if len(together) == 1:
            return together[0]
        what = "There are no several cards here that one build could serve." if not together else (
            "The cards of two makers need two builds."
        )  # fmt: skip
        raise InvalidInputError(what, hint="Name one card.")
    targets = card_targets(word)
    name = "" if is_target(word) else word
    return next((one for one in found if one.targets == targets), named(targets, name))


def pick_way(text: str, rungs: Sequence[Rung], best: Rung) -> Rung:
    """Read which rung is meant: its number, its name, or ``best``.

    Raises:
        UnknownNameError: there is no such rung.
        IncompatibleError: it does not hold here, or gpubuild has no command for it.
    """
    from buildtool.compat.guide import check

    word = text.strip().lower()
    names: dict[str, Rung] = {one.step: one for one in rungs}
    names |= {str(number): one for number, one in enumerate(rungs, start=1)} | {BEST: best}
    if word not in names:
        near = difflib.get_close_matches(word, [*(one.step for one in rungs), BEST], n=1, cutoff=0.5)
        what = f"There is no way {text!r}."
        raise UnknownNameError(
            what, hint=f"Did you mean {near[0]}?" if near else f"Ways: {', '.join(one.step for one in rungs)}, {BEST}."
        )
    check(names[word])
    return names[word]


def _existing(text: str) -> Path:
    from buildtool.store.paths import expanded

    path = expanded(text)
    if text and path.exists():
        return path
    what = f"There is no file or folder {text!r}." if text else "That needs a path."
    raise InvalidInputError(what)


def _yes_or_no(text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    what = f"{text!r} is neither y nor n."
    raise InvalidInputError(what)
