"""What a checkout needs of this machine, looked at before anything is copied or compiled: Go, CMake, compilers, git."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from buildtool import process
from buildtool.checkout.facts import facts
from buildtool.checkout.model import Order
from buildtool.compat.model import PlanCompiler
from buildtool.compat.versions import Release
from buildtool.errors import GpubuildError, MissingToolError
from buildtool.source.ollama import OllamaTree, go_here
from buildtool.toolchain.programs import cmake_path

ASK_S = 20.0
#: From this release on Go fetches the one that go.mod asks for by itself (go.dev/doc/toolchain).
GO_FETCHES = "1.21"
GO_HINT = "https://go.dev/dl has it; a distribution's package may be older."
_CMAKE = re.compile(r"^\s*cmake_minimum_required\s*\(\s*VERSION\s+(\d[\d.]*)", re.MULTILINE | re.IGNORECASE)


def require(order: Order, compiler: PlanCompiler) -> tuple[str, ...]:
    """Make sure that this machine can build a checkout; return what was compared, a sentence each.

    Raises:
        MissingToolError: it cannot; names everything that is missing or too old.
    """
    found = [*_go(order.tree), *_cmake(order), *_compiler(order, compiler), *_git(order)]
    missing = tuple(words for good, words in found if not good)
    if missing:
        what = f"This machine cannot build {order.tree.path} yet."
        hint = GO_HINT if any("Go" in words for words in missing) else "Install that, then run the same command again."
        raise MissingToolError(what, hint=hint, details=missing)
    return tuple(words for _, words in found)


def _go(tree: OllamaTree) -> Iterator[tuple[bool, str]]:
    wanted, here = tree.go, go_here()
    if here is None:
        yield False, f"It needs Go {wanted or '?'} (go.mod); there is none on PATH."
    elif not wanted or Release.parse(here).numbers >= Release.parse(wanted).numbers:
        yield True, f"Go {here} (go.mod asks for {wanted or 'none'})"
    elif Release.parse(here).numbers >= Release.parse(GO_FETCHES).numbers and os.environ.get("GOTOOLCHAIN") != "local":
        yield True, f"Go {here} fetches {wanted} by itself, which go.mod asks for"
    else:
        yield False, f"It needs Go {wanted} (go.mod); here is {here}, which is too old."


def _cmake(order: Order) -> Iterator[tuple[bool, str]]:
    top = Path(order.tree.path)
    files = dict.fromkeys((top / "CMakeLists.txt", top / Path(order.presets).parent / "CMakeLists.txt"))
    wanted = max((Release.parse(one) for file in files for one in _CMAKE.findall(_text(file))), default=None)
    told = re.search(r"version (\d[\d.]*)", _output((cmake_path(), "--version")))
    here = Release.read(told[1]) if told else None
    if here is None:
        yield False, f"CMake at {cmake_path()} does not answer."
    elif wanted is None or here.numbers >= wanted.numbers:
        yield True, f"CMake {here} (the checkout asks for {wanted or 'none'})"
    else:
        yield False, f"It needs CMake {wanted}; here is {here}: pip install -U cmake"


def _compiler(order: Order, compiler: PlanCompiler) -> Iterator[tuple[bool, str]]:
    rows = (row for row in facts().compilers if (row.layout, row.family) == (order.tree.layout, compiler.family))
    wanted = next((row.at_least for row in rows), "")
    words = f"{compiler.family} {compiler.version}"
    if wanted and Release.parse(compiler.version).numbers < Release.parse(wanted).numbers:
        yield False, f"It needs {compiler.family} {wanted}; here is {words}."
    else:
        yield True, f"{words} (Ollama's documents ask for {wanted or 'none in particular'})"


def _git(order: Order) -> Iterator[tuple[bool, str]]:
    """Ollama's own build patches llama.cpp with git from the new layout on."""
    if order.tree.layout == "new":
        there = shutil.which("git") is not None
        yield there, "git" if there else "It needs git, which Ollama's build patches llama.cpp with."


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _output(argv: tuple[str, ...]) -> str:
    try:
        return process.run(argv, timeout_s=ASK_S, check=False).output
    except GpubuildError:
        return ""
