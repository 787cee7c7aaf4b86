"""Runs a checkout's own build: its presets with CMake and Ninja, then ``go build``; the result whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO, Protocol

import msgspec
from filelock import FileLock

from buildtool.build.configure import hermetic_environment
from buildtool.build.door import Door
from buildtool.build.ninja import STATUS, parse_failure, parse_step
from buildtool.checkout.copying import llama_cpp_copy, refreshed
from buildtool.checkout.libc import newest_glibc
from buildtool.checkout.model import Built, Order, Part
from buildtool.checkout.order import RUNNER_DIR
from buildtool.compat.recipes import load_recipe
from buildtool.compat.sources import choose_sources
from buildtool.errors import BuildError, InvalidInputError, NetworkError, ProcessError, UnknownNameError
from buildtool.process import run
from buildtool.source import SourceTree, acquire
from buildtool.source.ollama import pinned_source
from buildtool.store.paths import expanded
from buildtool.store.progress import Progress as Downloads
from buildtool.store.storage import delete_tree, storage_errors
from buildtool.toolchain.model import Toolchain

MARK = "gpubuild-ollama.json"
LOG = "gpubuild.log"
NAMED = "OLLAMA_LLAMA_CPP_SOURCE"  # Ollama's own variable for a llama.cpp that is there
PLAIN = ("CMAKE_C_COMPILER", "CMAKE_CXX_COMPILER")
TAIL = 25


class Progress(Protocol):
    """Who is told how it goes."""

    def note(self, text: str) -> None:
        """Say something in passing."""

    def show(self, label: str, done: float, total: float, note: str) -> None:
        """Show how far one piece of work is."""

    def clear(self) -> None:
        """Forget the current piece of work."""

    def downloads(self) -> Downloads:
        """Return who is told about downloads."""


def build(order: Order, toolchain: Toolchain, work: Path, out: Path, *, jobs: int, progress: Progress) -> Built:
    """Build a checkout in a copy of its own and put the result into `out`.

    Args:
        order: what to build.
        toolchain: with what.
        work: a folder of ours; a build that was stopped goes on there.
        out: the new folder; it is absent, or one of ours that is replaced.
        jobs: parallel compile jobs.
        progress: told about every step.

    Raises:
        BuildError: CMake, a compiler or Go failed.
        PatchConflictError: a patch does not fit.
        NetworkError: llama.cpp cannot be fetched.
        InvalidInputError: `out` is somebody else's.
        StorageError: no space, or a place that cannot be written.
    """
    began = time.monotonic()
    require_ours(out)
    with storage_errors(work, "the build of the checkout"):
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work.with_name(f"{work.name}.lock")), (work / LOG).open("a", 1, encoding="utf-8") as log:
            site = _Site(order, toolchain, work, log, progress)
            return site.build(out, jobs, began)


def require_ours(out: Path) -> None:
    """Refuse to replace what is not ours.

    Raises:
        InvalidInputError: something stands at `out` that no earlier build put there.
    """
    if (out.exists() or out.is_symlink()) and not (out / MARK).is_file():
        what = f"{out} is there already, and gpubuild did not put it there."
        raise InvalidInputError(what, hint="Name another folder with --out.")


class _Site:
    """One locked work folder."""

    def __init__(self, order: Order, toolchain: Toolchain, work: Path, log: IO[str], progress: Progress) -> None:
        self.order, self.toolchain, self.work = order, toolchain, work
        self.log, self.progress = log, progress
        self.stage = work / "stage"

    def build(self, out: Path, jobs: int, began: float) -> Built:
        tree, verdicts = refreshed(self.order, self.work)
        patches = {one.patch: one.targets for one in verdicts if one.state == "applies"}
        for name, targets in patches.items():
            self.progress.note(f"Patched, on a copy: {name} ({' '.join(targets)})")
        options, env = self._llama_cpp()
        delete_tree(self.stage)
        folder = (tree / self.order.presets).parent
        for part in self.order.parts:
            self._part(part, folder, tree / part.build_dir, options, self._door(tree, folder, env), jobs)
        self._go(tree)
        built = Built(
            out=str(out),
            order=self.order,
            patches=patches,
            runners=_runners(self.stage / "lib/ollama"),
            glibc=newest_glibc(self.stage / "lib/ollama"),
            seconds=time.monotonic() - began,
            log=self.log.name,
        )
        _publish(self.stage, out, built)
        return built

    def _llama_cpp(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return CMake options and variables that lead Ollama's build to the llama.cpp that it names."""
        named, pin = os.environ.get(NAMED, ""), self.order.tree.pin
        if self.order.tree.layout != "new":
            return {}, {}
        if named:
            return {}, {NAMED: str(expanded(named).absolute())}
        wish = pinned_source(pin)
        if not wish:
            what = f"{self.order.tree.path} does not name the llama.cpp that it is built with."
            raise InvalidInputError(what, why=f"LLAMA_CPP_VERSION: {pin!r}", hint=f"Set {NAMED} to a llama.cpp tree.")
        try:
            source = acquire(choose_sources(wish, load_recipe("llama.cpp"))[0].plan, progress=self.progress.downloads())
        except (NetworkError, UnknownNameError) as error:
            what = f"The llama.cpp that the checkout names ({pin}) cannot be had."
            hint = f"Set {NAMED} to a tree that you have: Ollama's own build takes it from there."
            raise type(error)(what, why=error.why or error.what, hint=hint, details=error.details) from error
        return {"FETCHCONTENT_SOURCE_DIR_LLAMA_CPP": str(llama_cpp_copy(source, self.work))}, {}

    def _door(self, tree: Path, folder: Path, env: dict[str, str]) -> Door:
        added = {**self.toolchain.env, **env, "NINJA_STATUS": STATUS}
        sandbox = self.toolchain.sandbox
        if sandbox is None:
            return Door(env=hermetic_environment(SourceTree(path=str(tree), digest=""), added))
        inside = sandbox.environment({"GIT_CEILING_DIRECTORIES": str(self.work), **added})
        readable = (env[NAMED],) if NAMED in env else ()
        return Door(env=inside, sandbox=sandbox, readable=readable, writable=(str(folder), str(self.work)))

    def _part(self, part: Part, folder: Path, build_dir: Path, options: dict[str, str], door: Door, jobs: int) -> None:
        cmake = self.toolchain.cmake
        mine = self.toolchain.cmake_options
        given = mine if part.backend != "cpu" else {key: mine[key] for key in PLAIN if key in mine}
        given = {**given, **options, **part.variables, "CMAKE_MAKE_PROGRAM": self.toolchain.ninja}
        given |= {RUNNER_DIR: part.runner} if part.runner else {}
        given["CMAKE_INSTALL_PREFIX"] = str(self.stage)
        words = [f"-D{key}={value}" for key, value in sorted(given.items())]
        self.progress.note(f"Preset {part.preset}" + (f" for {' '.join(self.order.targets)}" if part.variables else ""))
        self._run((cmake, "--preset", part.preset, "-G", "Ninja", *words), folder, door, f"configure {part.preset}")
        words = ["--build", "--preset", part.build, "-j", str(jobs)]
        self._run((cmake, *words), folder, door, f"build {part.preset}")
        words = ["--install", str(build_dir), "--component", part.component, "--prefix", str(self.stage)]
        self._run((cmake, *words), folder, door, f"install {part.preset}")

    def _go(self, tree: Path) -> None:
        names = {"version.Version": self.order.version, "server.mode": "release"}
        flags = " ".join(["-s -w", *(f"-X=github.com/ollama/ollama/{name}={value}" for name, value in names.items())])
        self.progress.note("go build")
        door = Door(env={**os.environ, "CGO_ENABLED": "1"})
        argv = ("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(self._program()), ".")
        hint = "Go fetches the modules that go.mod names: that takes the network, or GOPROXY."
        self._run(argv, tree, door, "go build", hint)

    def _program(self) -> Path:
        return self.stage / "bin" / "ollama"

    def _run(self, argv: tuple[str, ...], folder: Path, door: Door, what: str, hint: str = "") -> None:
        lines: list[str] = []

        def take(line: str) -> None:
            lines.append(line)
            step = parse_step(line)
            if step is not None:
                self.progress.show(what, step[0], step[1], f"{step[0]}/{step[1]}  {step[2].rpartition('/')[2][:32]}")

        try:
            run(door.argv(argv), cwd=folder, env=door.env, log=self.log, on_line=take)
        except ProcessError as error:
            raise self._failure(error, lines, what, hint) from error
        finally:
            self.progress.clear()

    def _failure(self, error: ProcessError, lines: list[str], what: str, hint: str) -> BuildError:
        failed = parse_failure(lines)
        first = next((n for n, line in enumerate(lines) if line.startswith("CMake Error")), None)
        said = failed.lines if failed is not None else lines[first:] if first is not None else error.details
        words = f"Ollama's own build failed: {what}" + (f", {failed.output}." if failed is not None else ".")
        hint = hint or f"The full log is {self.log.name}"
        return BuildError(words, why=error.why, hint=hint, details=tuple(said)[:TAIL])


def _runners(libraries: Path) -> tuple[str, ...]:
    return tuple(sorted({path.parent.name for path in libraries.glob("*/*ggml-*")}))


def _publish(stage: Path, out: Path, built: Built) -> None:
    """Put what was installed into its place by one rename; what an earlier build put there goes away afterwards."""
    (stage / MARK).write_bytes(msgspec.json.format(msgspec.json.encode(built), indent=1) + b"\n")
    with storage_errors(out, "the built Ollama"):
        out.parent.mkdir(parents=True, exist_ok=True)
        draft, old = (out.with_name(f".{out.name}.{secrets.token_hex(4)}.{word}") for word in ("new", "old"))
        try:
            shutil.copytree(stage, draft, symlinks=True)
            if out.exists():
                out.rename(old)
            draft.rename(out)
        except BaseException:
            if old.exists() and not out.exists():
                old.rename(out)
            raise
        finally:
            delete_tree(draft)
            delete_tree(old)
