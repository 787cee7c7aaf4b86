"""``gpubuild doctor``: what is wrong with this machine for GPU work, worst first, and what cures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildtool.compat.doctor import Finding

EPILOG = """
[bold]Examples[/bold]

gpubuild doctor

gpubuild doctor --json

[bold]Exit codes[/bold]: 0 nothing is wrong, 16 something is.
"""
SOMETHING_WRONG = 16
WIDTH = 80
LABEL = 9


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is wrong with this machine for GPU work, worst first, each with the command that cures it."""
    from buildtool.compat.doctor import diagnose
    from buildtool.probe import detect
    from buildtool.probe.health import examine

    host = detect()
    found = diagnose(host, examine(host))
    if as_json:
        print_json({"findings": found})
    else:
        cards = sorted({one.name for one in host.devices})
        typer.echo("\n".join(render(found, cards)))
    if found:
        raise typer.Exit(SOMETHING_WRONG)


def render(found: Sequence[Finding], cards: Sequence[str]) -> Iterator[str]:
    """Lay findings out in lines of at most 80 columns."""
    if not found:
        yield f"Nothing is wrong here. GPUs: {', '.join(cards) or 'none'}."
    for number, one in enumerate(found):
        if number:
            yield ""
        yield from _lines(f"{one.severity}:", one.what, bold=True)
        yield from _lines("  why:", one.why)
        yield from _lines("  cure:", one.cure)


def _lines(label: str, text: str, *, bold: bool = False) -> Iterator[str]:
    import textwrap

    lines = textwrap.wrap(text, WIDTH - LABEL, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield (label if number == 0 else "").ljust(LABEL) + (typer.style(line, bold=True) if bold else line)
