"""``gpubuild plan --ladder``: every way to serve a card, best first."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from buildtool.cli.console import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildtool.codeobj.model import FileVerdict, Inspection
    from buildtool.compat.ladder import Rung, Served
    from buildtool.compat.model import Request
    from buildtool.compat.targets import Target
    from buildtool.probe.model import Host

WIDTH = 80
LABEL = 22
TITLES = {
    "served": "already served",
    "override": "override",
    "retarget": "retarget",
    "recompile": "recompile",
    "vulkan": "Vulkan",
    "cpu": "CPU",
}


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
        return Served(path=str(path), answer="no", reason="it holds no device code", stand_in="no" if other else None)
    return Served(
        path=best.path, answer=best.answer, reason=best.reason, stand_in=passing.answer if passing is not None else None
    )


def _best(held: Inspection, target: str) -> FileVerdict | None:
    from buildtool.codeobj import rules

    order = {"yes": 0, "only-if": 1, "no": 2}
    return min(rules.judge(held, target).verdicts, key=lambda one: order[one.answer], default=None)


def render(target: Target, rungs: Sequence[Rung]) -> Iterator[str]:
    """Lay a ladder out in lines of at most 80 columns, the chosen rung marked."""
    from buildtool.compat.devices import products_of
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


def _lines(label: str, text: str, *, bold: bool = False) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield (label if number == 0 else "").ljust(LABEL) + (typer.style(line, bold=True) if bold else line)
