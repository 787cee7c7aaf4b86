"""``gpubuild plan --ladder``: every way to serve a card, best first."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from buildtool.cli.console import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildtool.codeobj.model import FileVerdict, Inspection
    from buildtool.compat.guide import Script
    from buildtool.compat.ladder import Rung, Served
    from buildtool.compat.model import Request
    from buildtool.compat.targets import Target
    from buildtool.probe.model import Host

WIDTH = 80
LABEL = 22
COLUMNS = (14, 8, 24, 25)


def show_ladders(request: Request, host: Host, have: Path | None, *, as_json: bool) -> None:
    """Print the ladder of every target in question: those wished for, else those of a machine.

    Raises:
        InvalidInputError: there is no target in question.
    """
    from buildtool.compat.case import make_case
    from buildtool.compat.ladder import ladder
    from buildtool.errors import InvalidInputError

    targets = make_case(request, host).targets
    if not targets:
        what = "There is no GPU to find a way for."
        raise InvalidInputError(what, hint='Name one: gpubuild plan --ladder --for-device "RX 6600".')
    found = {target: ladder(target, host, request, read_served(have, target) if have else None) for target in targets}
    if as_json:
        print_json({"ladders": {str(target): rungs for target, rungs in found.items()}})
        return
    typer.echo("\n\n".join("\n".join(render(target, rungs)) for target, rungs in found.items()))


def read_served(path: Path, target: Target) -> Served:
    """Read the binaries at `path`, and say whether their device code loads on a device of `target`."""
    from buildtool import codeobj
    from buildtool.compat.ladder import Served, stand_in

    held = codeobj.inspect(path)
    best = _best(held, str(target))
    other = stand_in(target)
    passing = _best(held, other) if other else None
    if best is None:
        none: Literal["no"] | None = "no" if other else None
        return Served(path=str(path), answer="no", reason="it holds no device code", stand_in=none, root=str(path))
    stands = passing.answer if passing is not None else None
    return Served(path=best.path, answer=best.answer, reason=best.reason, stand_in=stands, root=str(path))


def _best(held: Inspection, target: str) -> FileVerdict | None:
    from buildtool.codeobj import rules

    order = {"yes": 0, "only-if": 1, "no": 2}
    return min(rules.judge(held, target).verdicts, key=lambda one: order[one.answer], default=None)


def render(target: Target, rungs: Sequence[Rung]) -> Iterator[str]:
    """Lay a ladder out in lines of at most 80 columns, the chosen rung marked."""
    from buildtool.compat.devices import products_of
    from buildtool.compat.guide import TITLES
    from buildtool.compat.ladder import choose

    products = products_of(target)
    yield f"Ways to serve {target}" + (f" ({products})" if products else "") + ", best first:"
    chosen = choose(rungs)
    for number, rung in enumerate(rungs, start=1):
        mark = ">" if rung is chosen else " "
        yield ""
        yield from _lines(f"{mark}{number} {TITLES[rung.step]}", f"{rung.state}: {rung.reason}", bold=rung is chosen)
        if rung.state != "no":
            yield from _lines("     cost", rung.cost)
            yield from _lines("     risk", rung.risk)
            yield from _lines("     command", rung.command)


def table(rungs: Sequence[Rung], chosen: Rung) -> Iterator[str]:
    """Lay a ladder out as a table of at most 80 columns: a row for each way, its reason below it."""
    from buildtool.compat.guide import TITLES

    yield typer.style(_row("", ("way", "works", "cost", "risk")), bold=True)
    for number, rung in enumerate(rungs, start=1):
        dead = rung.state == "no"
        words = (TITLES[rung.step], rung.state, "-" if dead else rung.cost, "-" if dead else rung.risk)
        cells = [textwrap.wrap(text, width) for text, width in zip(words, COLUMNS, strict=True)]
        for line in range(max(map(len, cells))):
            mark = f"{'>' if rung is chosen else ' '}{number:>2}" if line == 0 else ""
            text = _row(mark, tuple(cell[line] if line < len(cell) else "" for cell in cells))
            yield typer.style(text, bold=True) if rung is chosen else text
        yield from _indented(rung.reason, " " * 7)
    yield ""
    yield "first: after an installation; unproved: it may work"


def _row(mark: str, cells: tuple[str, ...]) -> str:
    return (f"{mark:<5}" + " ".join(cell.ljust(width) for cell, width in zip(cells, COLUMNS, strict=True))).rstrip()


def _indented(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def script_lines(rung: Rung, steps: Script, system: str) -> Iterator[str]:
    """Lay out what a way comes to; a command stands on a line of its own, however long it is."""
    from buildtool.compat.guide import TITLES

    yield f"Way: {TITLES[rung.step]}"
    if steps.first:
        yield f"First, as {'administrator' if system == 'windows' else 'root'}:"
        for step in steps.first:
            yield from _indented(step.words, "  # ")
            yield from (f"  {step.command}" for _ in range(bool(step.command)))
        yield "Then:"
    if steps.by_hand:
        yield "In your own shell:"
        yield from (f"  {line}" for line in steps.by_hand)
    yield from (f"  {line}" for line in steps.lines(system))
    for note in steps.notes:
        yield from _indented(note, "")


def _lines(label: str, text: str, *, bold: bool = False) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield (label if number == 0 else "").ljust(LABEL) + (typer.style(line, bold=True) if bold else line)
