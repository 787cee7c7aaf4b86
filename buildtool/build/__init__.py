"""Drives CMake and Ninja in a build directory, with progress and a compiler cache.

`build` is the room's only door. The directory's name does not depend on the targets: when a target is added, host
code stays built and only device code is compiled again, through the cache.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from buildtool.build.configure import cmake_arguments, configure, hermetic_environment, require_carried
from buildtool.build.costs import CostBook
from buildtool.build.counters import difference, statistics
from buildtool.build.door import Door
from buildtool.build.jobs import job_count
from buildtool.build.launcher import Launcher, cache_folder, for_build, proved_launcher
from buildtool.build.model import BuildTree, CacheStats
from buildtool.build.ninja import BuildProgress, pending
from buildtool.build.ninja import build as run_ninja
from buildtool.build.shared import started
from buildtool.compat.model import Plan
from buildtool.compat.parts import ARCHITECTURE_OPTIONS
from buildtool.compat.recipes import recipe_directory
from buildtool.source.model import SourceTree
from buildtool.store.paths import cache_root
from buildtool.store.storage import require_space, storage_errors
from buildtool.toolchain.model import Toolchain

__all__ = ["BuildOptions", "BuildProgress", "build", "default_build_dir"]

LOG, LOCK = "gpubuild.log", "build.lock"
# Build directory and compiler cache of one target with every CPU variant; measured with llama.cpp 0.5 (docs/build.md).
SPACE_BYTES = {"cuda": 1_500_000_000, "rocm": 1_500_000_000, "vulkan": 1_000_000_000, "cpu": 600_000_000}


class BuildOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to build, as opposed to what.

    Attributes:
        jobs: parallel compile jobs, None to choose by processors and memory.
        build_dir: where to build, None for a directory of the cache.
        targets: build just these files or targets instead of everything the wheels need.
        use_cache: whether a compiler cache may be used.
    """

    jobs: int | None = None
    build_dir: Path | None = None
    targets: tuple[str, ...] = ()
    use_cache: bool = True


def default_build_dir(plan: Plan, toolchain: Toolchain, source: SourceTree) -> Path:
    """Return the build directory of a plan: one per source, backend, toolchain, compiler and options."""
    options = {key: value for key, value in plan.cmake_options.items() if key not in ARCHITECTURE_OPTIONS}
    identity = [
        plan.recipe, source.path if source.mutable else source.digest, plan.backend, plan.profile, plan.runtime,
        toolchain.version, toolchain.root, plan.host_compiler.cxx, plan.host_compiler.version, options,
        *([toolchain.sandbox.place] if toolchain.sandbox is not None else []),
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return cache_root() / "build" / f"{plan.recipe}-{plan.backend}-{key}"


def build(
    plan: Plan,
    toolchain: Toolchain,
    source: SourceTree,
    *,
    options: BuildOptions,
    progress: BuildProgress | None = None,
) -> BuildTree:
    """Configure and build everything the plan's wheels need.

    Raises:
        BuildError: CMake or a compile step failed.
        StorageError: the build directory cannot be written.
        InvalidInputError: ``jobs`` is not positive, or CMake does not carry the name of a directory.
    """
    began = time.monotonic()
    jobs = job_count(options.jobs, device_code=plan.backend in ("cuda", "rocm"))
    # Programs of the build start in other folders, and a sandbox knows no current one.
    build_dir = (options.build_dir or default_build_dir(plan, toolchain, source)).absolute()
    require_carried(build_dir, "Build elsewhere: --build-dir, or GPUBUILD_CACHE.")
    require_carried(Path(source.path), "Give the source tree, or the store (GPUBUILD_STORE), another place.")
    if not (build_dir / "build.ninja").exists():
        require_space(build_dir, SPACE_BYTES[plan.backend], "the build directory and the compiler cache")
    with storage_errors(build_dir, "the build directory"):
        build_dir.mkdir(parents=True, exist_ok=True)
        with (
            _locked(build_dir, progress),
            (build_dir / LOG).open("a", buffering=1, encoding="utf-8") as log,
        ):
            site = _Site(build_dir, jobs, log, options, progress)
            tree = site.build(plan, toolchain, source)
    return msgspec.structs.replace(tree, seconds=time.monotonic() - began)


@contextmanager
def _locked(build_dir: Path, progress: BuildProgress | None) -> Iterator[None]:
    """Hold the build directory for this run; say so when another one has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(build_dir / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress is not None:
            progress.note(f"Another gpubuild builds in {build_dir}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Site:
    """One locked build directory at work."""

    def __init__(
        self, build_dir: Path, jobs: int, log: IO[str], options: BuildOptions, progress: BuildProgress | None
    ) -> None:
        self.build_dir = build_dir
        self.jobs = jobs
        self.log = log
        self.options = options
        self.progress = progress

    def build(self, plan: Plan, toolchain: Toolchain, source: SourceTree) -> BuildTree:
        shipped = recipe_directory(plan.recipe) / "costs.json"
        book = CostBook(cache_root() / "costs" / f"{plan.recipe}-{plan.backend}.json", shipped)
        launcher = self._launcher(plan, toolchain, source) if self.options.use_cache else None
        added = {**toolchain.env, **(launcher.env if launcher else {})}
        door = self._door(plan, toolchain, source, launcher, added)
        arguments = cmake_arguments(plan, toolchain, launcher, book)
        configure(self.build_dir, source, toolchain, arguments, door=door, log=self.log)
        wanted = self.options.targets or _targets(plan)
        steps = pending(toolchain.ninja, self.build_dir, wanted, door)
        cache = self._compile(toolchain, launcher, wanted, steps, door, book) if steps else None
        return BuildTree(
            path=str(self.build_dir),
            source=source.path,
            cmake_args=arguments,
            env=added,
            cmake=toolchain.cmake,
            ninja=toolchain.ninja,
            steps=len(steps),
            seconds=0.0,
            log=self.log.name,
            cache=cache,
        )

    def _launcher(self, plan: Plan, toolchain: Toolchain, source: SourceTree) -> Launcher | None:
        verdict = proved_launcher(plan, toolchain, source, cache_root())
        if verdict.launcher is None and verdict.rejected and self.progress is not None:
            self.progress.note(f"No compiler cache is used. {'; '.join(verdict.rejected)}")
        return for_build(verdict.launcher, self.build_dir) if verdict.launcher is not None else None

    def _compile(
        self,
        toolchain: Toolchain,
        launcher: Launcher | None,
        wanted: tuple[str, ...],
        steps: list[str],
        door: Door,
        book: CostBook,
    ) -> CacheStats | None:
        if launcher is None:
            self._ninja(toolchain, wanted, steps, door, book)
            return None
        with started(launcher, self._note) as share:
            before = statistics(launcher, toolchain.sandbox)
            self._ninja(toolchain, wanted, steps, door, book)
            used = difference(before, statistics(launcher, toolchain.sandbox))
        return msgspec.structs.replace(used, detail=used.detail | share.detail) if used is not None else None

    def _note(self, text: str) -> None:
        if self.progress is not None:
            self.progress.note(text)

    def _ninja(
        self, toolchain: Toolchain, wanted: tuple[str, ...], steps: list[str], door: Door, book: CostBook
    ) -> None:
        run_ninja(
            toolchain.ninja,
            self.build_dir,
            wanted,
            steps=steps,
            jobs=self.jobs,
            door=door,
            log=self.log,
            book=book,
            progress=self.progress,
        )

    def _door(
        self, plan: Plan, toolchain: Toolchain, source: SourceTree, launcher: Launcher | None, added: dict[str, str]
    ) -> Door:
        """Return how this build's commands run: here, or inside a place that sees only what they need."""
        if toolchain.sandbox is None:
            return Door(env=hermetic_environment(source, added))
        ceiling = {"GIT_CEILING_DIRECTORIES": str(Path(source.path).parent)}
        return Door(
            env=toolchain.sandbox.environment(ceiling | added),
            sandbox=toolchain.sandbox,
            readable=(str(Path(source.path)), str(recipe_directory(plan.recipe))),
            writable=(str(self.build_dir), *([str(cache_folder(launcher))] if launcher else [])),
        )


def _targets(plan: Plan) -> tuple[str, ...]:
    return ("gpubuild_runtime",) if plan.backend == "cpu" else ("gpubuild_runtime", "gpubuild_backend")
