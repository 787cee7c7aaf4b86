"""Writing a script in bash."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildtool.script.model import (
    NOT_PLANNED,
    Check,
    Export,
    First,
    Folder,
    Let,
    Lines,
    Need,
    Note,
    Run,
    Say,
    Script,
    Step,
    Unset,
    Write,
    parts,
)
from buildtool.shell import quote

_ESCAPED = re.compile(r'([\\"$`])')
HEREDOC = "GPUBUILD_END"
START = """\
set -euo pipefail

die() { printf '%s\\n' "$*" >&2; exit 1; }
step() { printf '\\n== %s\\n' "$*"; }
newest() { printf '%s\\n' "$@" | sort -V | tail -n 1; }
"""


def render(script: Script) -> str:
    """Return the script as text."""
    lines = ["#!/usr/bin/env bash", *(f"# {line}".rstrip() for line in script.head), START]
    for step in script.steps:
        lines.extend(_step(step))
    return "\n".join(lines) + "\n"


def word(text: str) -> str:
    """Write one word, with the variables in it, as bash takes it."""
    pieces = parts(text)
    if not any(is_variable for is_variable, _ in pieces):
        return quote(text)
    inside = (f"${{{piece}}}" if is_variable else _ESCAPED.sub(r"\\\1", piece) for is_variable, piece in pieces)
    return f'"{"".join(inside)}"'


def _step(step: Step) -> Iterator[str]:  # noqa: C901, PLR0912 - one branch per kind of step
    match step:
        case Note(text):
            yield from ("", f"step {quote(text)}")
        case Need(program, hint):
            yield f"command -v {word(program)} > /dev/null || die {word(f'{program} is missing. {hint}')}"
        case Let(name, value, override):
            yield f"{name}={word(value)}"
            if override:
                yield f'if [ -n "${{{override}:-}}" ]; then {name}=${{{override}}}; fi'
        case First():
            yield from _first(step)
        case Unset(names):
            yield "unset " + " ".join(names)
        case Export(name, value):
            yield f"export {name}={word(value)}"
        case Folder(path):
            yield f"mkdir -p {word(path)}"
        case Write(path, content):
            yield from _write(path, content)
        case Run():
            yield from _run(step)
        case Check(path, sha256):
            yield f"printf '%s  %s\\n' {sha256} {word(path)} | sha256sum --check --quiet --strict - || {{"
            yield f"    rm -f {word(path)}"
            yield f"    die {word(path + NOT_PLANNED)}"
            yield "}"
        case Lines(text):
            yield text
        case Say(text):
            yield f"printf '%s\\n' {word(text)}"


def _first(step: First) -> Iterator[str]:
    yield f"{step.name}="
    yield f"for candidate in {' '.join(map(_pattern, step.paths))}; do"
    yield f'    if [ -z "${{{step.name}}}" ] && [ -e "${{candidate}}" ]; then {step.name}=${{candidate}}; fi'
    yield "done"
    yield f'[ -n "${{{step.name}}}" ] || die {quote(step.what)}'


def _pattern(path: str) -> str:
    """Write a path; of one whose stars are patterns, the newest version that fits it."""
    if "*" not in path:
        return word(path)
    return f'"$(newest {"*".join(word(piece) if piece else "" for piece in path.split("*"))})"'


def _write(path: str, content: str) -> Iterator[str]:
    """Write a here-document; its end never stands in the content."""
    end = HEREDOC
    while any(line == end for line in content.splitlines()):
        end += "_"
    yield f"cat > {word(path)} <<'{end}'"
    yield content.removesuffix("\n")
    yield end


def _run(step: Run) -> Iterator[str]:
    words = ["inside"] if step.inside else []
    words += [word(one) for one in step.argv]
    indent = ""
    if step.made:
        yield f"if [ ! -e {word(step.made)} ]; then"
        indent = "    "
    if step.draft:
        yield f"{indent}rm -rf {word(step.draft)}"
    first, *rest = _broken(words)
    if step.cwd:
        first = f"(cd {word(step.cwd)} && {first}"
        if rest:
            rest[-1] += ")"
        else:
            first += ")"
    yield indent + first + (" \\" if rest else "")
    for number, line in enumerate(rest):
        yield f"{indent}    {line}" + (" \\" if number + 1 < len(rest) else "")
    if step.draft:
        yield f"{indent}mv {word(step.draft)} {word(step.made)}"
    if step.made:
        yield "fi"


def _broken(words: list[str], width: int = 100) -> list[str]:
    """Break a command into lines: as many words as fit."""
    lines: list[str] = []
    for one in words:
        if lines and len(lines[-1]) + len(one) < width and not one.startswith(("-D", '"-D', "'-D")):
            lines[-1] += f" {one}"
        else:
            lines.append(one)
    return lines
