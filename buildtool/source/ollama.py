"""Recognises a checkout of Ollama where llama.cpp's source is asked for, and says what leads on from there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from buildtool import process
from buildtool.compat.recipes import load_recipe
from buildtool.errors import GpubuildError, InvalidInputError
from buildtool.shell import command_line

MODULE = re.compile(r"^module github\.com/ollama/ollama\s*$", re.MULTILINE)
GO = re.compile(r"^go (\d+(?:\.\d+)+)", re.MULTILINE)
UPSTREAM = "https://github.com/ggml-org/llama.cpp"
RECIPE = "llama.cpp"
ASK_S = 10.0
_TAG = re.compile(r"b\d{4,}")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class OllamaTree(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout of Ollama.

    Attributes:
        path: its top folder.
        layout: ``new`` (0.30 and newer), ``old`` (its own ggml), or ``older`` (Makefiles).
        pin: the llama.cpp tag that it names, "" where it names none.
        go: the version of Go that it wants.
    """

    path: str
    layout: Literal["new", "old", "older"]
    pin: str = ""
    go: str = ""


def recognise(path: Path) -> OllamaTree | None:
    """Return what a folder is, if it is a checkout of Ollama."""
    module = _text(path / "go.mod")
    if not MODULE.search(module):
        return None
    wants = GO.search(module)
    layout: Literal["new", "old", "older"] = "older"
    if (path / "llama/server/CMakePresets.json").is_file():
        layout = "new"
    elif (path / "ml/backend/ggml").is_dir():
        layout = "old"
    pin = _text(path / "LLAMA_CPP_VERSION").strip()
    return OllamaTree(path=str(path), layout=layout, pin=pin, go=wants[1] if wants else "")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def pinned_source(pin: str) -> str:
    """Return what `gpubuild compile --source` is given for a llama.cpp that Ollama names, "" where nothing leads to it.

    A tag that the recipe offers from a package registry is taken from there; every other one, and a commit, from
    upstream's git.
    """
    if _TAG.fullmatch(pin):
        offered = (row.name for row in load_recipe(RECIPE).sources if row.label == pin)
        return next(offered, f"{UPSTREAM}#{pin}")
    return f"{UPSTREAM}#{pin}" if _COMMIT.fullmatch(pin) else ""


def go_here() -> str | None:
    """Return the version of the Go on PATH, None where there is none that answers."""
    try:
        told = process.run(("go", "version"), timeout_s=ASK_S, check=False).output
    except GpubuildError:
        return None
    found = re.search(r"go(\d+(?:\.\d+)+)", told)
    return found[1] if found else None


def refuse(tree: OllamaTree, backend: str, targets: Sequence[str]) -> InvalidInputError:
    """Return the refusal of an Ollama checkout, with the commands that do what was meant.

    Args:
        tree: the checkout.
        backend: ``cuda``, ``rocm``, ``vulkan``; anything else is taken for the one of the targets.
        targets: what to build for, as people wrote it.
    """
    wanted = ";".join(targets) or "TARGET"
    kind = backend if backend in {"cuda", "rocm", "vulkan"} else "rocm" if wanted.startswith("gfx") else "cuda"
    what = f"{tree.path} is a checkout of Ollama, not of llama.cpp."
    own = "By hand, for these targets:"
    if tree.layout == "older":
        why = "It is built with Makefiles, which gpubuild does not drive."
        lines = (
            f'make -j CUDA_ARCHITECTURES="{_numbers(wanted)}"',
            f'make -j HIP_ARCHS_COMMON="{wanted.replace(";", " ")}" HIP_ARCHS_LINUX=',
        )
        return InvalidInputError(what, why=why, details=(own, lines[kind == "rocm"], "go build .", *_go(tree)))
    argv = ["gpubuild", "compile", "--source", tree.path, "--backend", kind]
    argv += [] if kind == "vulkan" else ["--target", wanted]
    by_hand = _new_lines(tree, kind, wanted) if tree.layout == "new" else _old_lines(tree, kind, wanted)
    return InvalidInputError(what, hint=f"{command_line(argv)} builds it", details=(own, *by_hand, *_go(tree)))


def _numbers(targets: str) -> str:
    return ";".join(target.removeprefix("sm_") for target in targets.split(";"))


def _new_lines(tree: OllamaTree, kind: str, targets: str) -> tuple[str, ...]:
    runner, variable = {
        "cuda": ("cuda_v13", f"-DCMAKE_CUDA_ARCHITECTURES={_numbers(targets)}"),
        "rocm": ("rocm_v7_2", f"-DCMAKE_HIP_ARCHITECTURES={targets}"),
        "vulkan": ("vulkan", ""),
    }[kind]
    argv = ["cmake", "-S", tree.path, "-B", f"{tree.path}/build", f"-DOLLAMA_LLAMA_BACKENDS={runner}"]
    return (command_line([*argv, *filter(None, [variable])]), command_line(["cmake", "--build", f"{tree.path}/build"]),
            f"(cd {command_line([tree.path])} && go build .)")  # fmt: skip


def _old_lines(tree: OllamaTree, kind: str, targets: str) -> tuple[str, ...]:
    copy = f"{tree.path.rstrip('/')}-patched"
    words = [word for target in targets.split(";") for word in ("--target", target)]
    apply = ["gpubuild", "patch", "apply", "--project", "ollama", *words, "--source", tree.path, "--out", copy]
    preset = {"cuda": "CUDA 12", "rocm": "ROCm 6", "vulkan": "Vulkan"}[kind]
    build = (f'cmake --preset "{preset}"', f'cmake --build --preset "{preset}"', "go build .")
    return (*((command_line(apply),) if kind != "vulkan" else ()), f"cd {command_line([copy])}", *build)


def _go(tree: OllamaTree) -> tuple[str, ...]:
    """Say whether the machine's Go is the one that the checkout wants."""
    here = go_here()
    if here is None:
        return (f"It needs Go {tree.go or '?'}; there is none on PATH.",)
    old = bool(tree.go) and _tuple(here) < _tuple(tree.go)
    return (f"It needs Go {tree.go or '?'}; here is {here}{', which is too old' if old else ''}.",)


def _tuple(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
