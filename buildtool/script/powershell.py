"""Writing a script in PowerShell, for Windows PowerShell 5.1 and PowerShell 7."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buildtool.errors import InvalidInputError
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

# PowerShell takes typographic quotes for quotes.
_SINGLE = re.compile("(['\u2018\u2019\u201a\u201b])")
_IN_DOUBLE = re.compile('([`$"\u201c\u201d\u201e])')
START = """\
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0
$ProgressPreference = 'SilentlyContinue'

function Invoke-Program {
    param([string] $Program, [string[]] $Arguments)
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program ended with code $LASTEXITCODE." }
}

function Write-TextFile {
    param([string] $Path, [string] $Text)
    $encoding = New-Object System.Text.UTF8Encoding($false)
    [System.IO.File]::WriteAllText($Path, $Text.Replace("`r`n", "`n") + "`n", $encoding)
}
"""


def render(script: Script) -> str:
    """Return the script as text."""
    lines = [*(f"# {line}".rstrip() for line in script.head), START]
    for step in script.steps:
        lines.extend(_step(step))
    return "\n".join(lines) + "\n"


def word(text: str) -> str:
    """Write one word, with the variables in it, as PowerShell takes it; always quoted.

    Raises:
        InvalidInputError: it holds a double quote, which Windows PowerShell cannot hand to a program.
    """
    if '"' in text:
        what = f"{text!r} cannot stand in a PowerShell script: Windows PowerShell hands no double quote to a program."
        raise InvalidInputError(what, hint="Name it without one.")
    pieces = parts(text)
    if not any(is_variable for is_variable, _ in pieces):
        return "'" + _SINGLE.sub(r"\1\1", text) + "'"
    inside = (f"${{{piece}}}" if is_variable else _IN_DOUBLE.sub(r"`\1", piece) for is_variable, piece in pieces)
    return f'"{"".join(inside)}"'


def _step(step: Step) -> Iterator[str]:  # noqa: C901, PLR0912 - one branch per kind of step
    match step:
        case Note(text):
            yield from ("", f"Write-Host {word('== ' + text)}")
        case Need(program, hint):
            missing = word(f"{program} is missing. {hint}")
            yield f"if (-not (Get-Command {word(program)} -ErrorAction Ignore)) {{ throw {missing} }}"
        case Let(name, value, override):
            yield f"${name} = {word(value)}"
            if override:
                yield f"if ($env:{override}) {{ ${name} = $env:{override} }}"
        case First():
            yield from _first(step)
        case Unset(names):
            yield f"foreach ($name in @({', '.join(map(word, names))})) {{"
            yield '    Remove-Item -Path "Env:$name" -ErrorAction Ignore'
            yield "}"
        case Export(name, value):
            yield f"$env:{name} = {word(value)}"
        case Folder(path):
            yield f"$null = New-Item -ItemType Directory -Force -Path {word(path)}"
        case Write(path, content):
            yield from _write(path, content)
        case Run():
            yield from _run(step)
        case Check(path, sha256):
            yield f"if ((Get-FileHash -Algorithm SHA256 -LiteralPath {word(path)}).Hash -ne '{sha256}') {{"
            yield f"    Remove-Item -Force -LiteralPath {word(path)}"
            yield f"    throw {word(path + NOT_PLANNED)}"
            yield "}"
        case Lines(text):
            yield text
        case Say(text):
            yield f"Write-Host {word(text)}"


def _first(step: First) -> Iterator[str]:
    yield f"${step.name} = @({', '.join(map(word, step.paths))}) |"
    yield "    Where-Object { Test-Path -Path $_ } | ForEach-Object { (Resolve-Path -Path $_).Path } |"
    yield "    Select-Object -First 1"
    yield f"if (-not ${step.name}) {{ throw {word(step.what)} }}"


def _write(path: str, content: str) -> Iterator[str]:
    """Write a literal here-string, which ends at a line that begins with ``'@``.

    Raises:
        InvalidInputError: the content has such a line.
    """
    if any(line.startswith("'@") for line in content.splitlines()):
        what = f"The content of {path} cannot stand in a PowerShell script: one of its lines begins with '@."
        raise InvalidInputError(what)
    yield f"Write-TextFile {word(path)} @'"
    yield content.removesuffix("\n")
    yield "'@"


def _run(step: Run) -> Iterator[str]:
    program, *arguments = step.argv
    indent = "    " if step.made else ""
    if step.made:
        yield f"if (-not (Test-Path -LiteralPath {word(step.made)})) {{"
    if step.draft:
        left = word(step.draft)
        yield f"{indent}if (Test-Path -LiteralPath {left}) {{ Remove-Item -Recurse -Force -LiteralPath {left} }}"
    if step.cwd:
        yield f"{indent}Push-Location -LiteralPath {word(step.cwd)}"
    yield f"{indent}Invoke-Program {word(program)} @("
    lines = [f"{indent}    {word(one)}" for one in arguments]
    yield ",\n".join(lines)
    yield f"{indent})"
    if step.cwd:
        yield f"{indent}Pop-Location"
    if step.draft:
        yield f"{indent}Move-Item -LiteralPath {word(step.draft)} -Destination {word(step.made)}"
    if step.made:
        yield "}"
