"""How ``gpubuild ollama status`` looks on a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from buildtool.cli.thin import counted

if TYPE_CHECKING:
    from buildtool.deploy.enable import Plan
    from buildtool.deploy.model import Installation, Known, Runner, Status, Verdict
    from buildtool.deploy.order import Outcome

WIDTH = 80
LABEL = 12
COLOURS = {"used": "green", "dropped": "red", "absent": "red", "unproved": "yellow"}
STATES = {"used": "used", "dropped": "not used", "absent": "not used", "unproved": "not settled by reading"}


def lines(found: Status) -> Iterator[str]:
    """Yield the whole status, an installation after the other."""
    for number, one in enumerate(found.installations):
        if number:
            yield ""
        yield from _installation(one)
    yield from (text for note in found.notes for text in _row("note", note))


def _installation(one: Installation) -> Iterator[str]:
    yield typer.style(f"Ollama {one.version.value or 'of unknown version'} in {one.prefix}", bold=True)
    yield from _row("version", _known(one.version))
    yield from _row("layout", one.layout)
    yield from _row("llama.cpp", _known(one.llama_cpp))
    yield from _row("installed", _kind(one))
    yield from _row("libraries", one.libraries + ("" if one.may_write else " (you may not write there; root may)"))
    yield from _service(one)
    models = "" if one.models.models is None else f", {counted(one.models.models, 'model')}"
    yield from _row("models", f"{one.models.path or '?'} ({one.models.source}){models}")
    yield from _block("runners", [text for runner in one.runners for text in _runner(runner)])
    yield from _block("devices", [text for verdict in one.verdicts for text in _verdict(verdict)], "no GPU was found")
    yield from _log(one)
    yield from (text for note in one.notes for text in _row("note", note))


def _known(fact: Known) -> str:
    return f"{fact.value} ({fact.source})" if fact.value else f"unknown: {fact.source}"


def _kind(one: Installation) -> str:
    by_hand = "by Ollama's installer or an archive" if one.kind == "prefix" else one.kind
    words = f"package {one.package}" if one.package else by_hand
    return words if one.writable else f"{words}, read-only: {one.why}"


def _service(one: Installation) -> Iterator[str]:
    service = one.service
    if service.manager == "none":
        yield from _row("service", "; ".join(service.notes))
        return
    user = f", user {service.user}" if service.user else ""
    state = f", {service.state}" if service.state else ""
    yield from _row("service", f"{service.manager} {service.name}{state}{user}")
    for path in (service.unit, *service.drop_ins):
        yield from _row("", path) if path else ()
    for name, value in sorted(service.environment.items()):
        yield from _row("", f"{name}={value}")
    for note in service.notes:
        yield from _row("", note)


def _runner(runner: Runner) -> Iterator[str]:
    ours = ", by gpubuild" if runner.ours else ""
    held = " ".join(runner.targets) or ("" if runner.library == "Vulkan" else "no device code")
    words = f"{runner.library}{ours}: {held}".rstrip(": ") if runner.module else "no module of ggml: passed by"
    yield from _hanging(f"{runner.name:<{LABEL}} {words}", LABEL + 1)
    if runner.rocblas and set(runner.rocblas) != {target.partition(":")[0] for target in runner.targets}:
        yield from _hanging(f"{'':<{LABEL}} rocBLAS: {' '.join(runner.rocblas)}", LABEL + 1)


def _verdict(verdict: Verdict) -> Iterator[str]:
    target = f" ({verdict.target})" if verdict.target else ""
    by = f" by {verdict.library}, {verdict.runner}" if verdict.state == "used" else ""
    state = typer.style(STATES[verdict.state], fg=COLOURS[verdict.state])
    yield f"{verdict.device}{target}: {state}{by}"
    yield from _hanging(f"  {verdict.reason}", 2)
    if verdict.would:
        yield from _hanging(f"  It would be used if {verdict.would}.", 2)


def _log(one: Installation) -> Iterator[str]:
    words = [text for seen in one.log.lines for text in _hanging(_seen(seen.text, seen.fields), 2)]
    where = f" ({one.log.source})" if one.log.source else ""
    yield from _block(f"last discovery in the log{where}", words, one.log.problem or "it says nothing about devices")


def _seen(text: str, fields: dict[str, str]) -> str:
    shown = ("library", "compute", "name", "device", "description", "gfx_target", "cc", "libdirs", "pci_id", "total")
    return " ".join([f"{text}:", *(f"{name}={fields[name]}" for name in shown if fields.get(name))])


def _row(label: str, text: str) -> list[str]:
    room = textwrap.wrap(text, WIDTH - LABEL - 2, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"  {label if number == 0 else '':<{LABEL - 2}}  {line}".rstrip() for number, line in enumerate(room)]


def _hanging(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text, WIDTH - 4, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip


def _block(title: str, rows: Iterable[str], nothing: str = "none") -> Iterator[str]:
    rows = list(rows)
    yield f"  {title}" if rows else f"  {title}: {nothing}"
    yield from (f"    {row}" for row in rows)


def plan_lines(chosen: Plan) -> Iterator[str]:
    """Yield the ways for a device, the one that is taken marked."""
    from buildtool.deploy.ways import TITLES

    yield typer.style(f"{chosen.device} ({chosen.target}), Ollama in {chosen.prefix}", bold=True)
    for number, way in enumerate(chosen.ways, start=1):
        taken = way.method == chosen.chosen.method
        title = typer.style(TITLES[way.method], bold=taken)
        yield f"{'>' if taken else ' '}{number} {way.method:<9} {title}"
        yield from _indented(f"{way.state}: {way.reason}")
        if way.state != "no" and way.method != "served":
            yield from _indented(f"cost: {way.cost}; risk: {way.risk}")


def _indented(text: str) -> list[str]:
    indent = " " * 13
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """Yield what came out of a change."""
    done = {"enable": "In place", "reapply": "In place again", "restore": "Taken out"}[outcome.purpose]
    yield typer.style(f"{done}: {outcome.method}, Ollama in {outcome.prefix}", bold=True)
    yield from (f"  {path}" for path in outcome.changed)
    yield from (text for line in outcome.proof for text in _row("proof", line))
    yield from (text for path in outcome.kept for text in _row("kept", f"{path} is not gpubuild's"))
    yield from (text for line in outcome.notes for text in _row("note", line))
    if outcome.purpose != "restore":
        yield from _row("proved", "tokens on the GPU" if outcome.proved else "not to the end: see above")
        yield "  out again: gpubuild ollama restore"
