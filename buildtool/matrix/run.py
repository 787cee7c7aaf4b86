"""Runs a matrix on this machine, job after job, as a CI provider would; goes on where it was stopped.

A job's wheels appear in ``jobs/NAME`` by one rename, and only then it is written down as done. A run that is killed
loses nothing but the step it was at: the build directory and the compiler cache outlive it.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import msgspec

from buildtool import process
from buildtool.compat.recipes import recipe_directory
from buildtool.errors import BuildError, GpubuildError, InvalidInputError, StorageError
from buildtool.index import Built, build_index
from buildtool.matrix.check import check, load_listed
from buildtool.matrix.ci import LOCKS, RUNTIME_FILES, Ci
from buildtool.matrix.model import Job, Matrix
from buildtool.matrix.write import MATRIX_FILE, listed, place, write_locks
from buildtool.store.digest import sha256_of
from buildtool.store.storage import delete_tree, storage_errors

STATE = "state.json"
PACKAGE = Path(__file__).parents[1]
OURS = frozenset({"jobs", "locks", "logs", "index", STATE})
HINT = "Name another place with --dir."
#: Without the working directory on Python's path: what lies there under our name is not ours.
COMPILE = (sys.executable, "-P", "-c", "from buildtool.cli.main import main; main()", "compile")
_COUNTS = re.compile(r"^(?:sccache|ccache): (\d+) hits, (\d+) misses")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that a job handed over."""

    filename: str
    sha256: str
    bytes: int


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a job cost and made: wall-clock seconds (a killed run's are lost), cache hits and misses of the last run.

    `digest` is its plan's, `maker` that of the gpubuild that made it.
    """

    job: str
    digest: str
    maker: str = ""
    seconds: float
    hits: int
    misses: int
    wheels: tuple[Made, ...]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are done, and how many seconds went into those that are not."""

    schema: int = 1
    done: dict[str, Cost] = {}
    spent: dict[str, float] = {}


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A whole matrix that was run: the cost of each job, how many had been done before, and the index."""

    costs: tuple[Cost, ...]
    before: int
    index: Built


class RunProgress(Protocol):
    """What is told while jobs run."""

    def job(self, number: int, total: int, job: Job) -> None:
        """A job begins."""

    def line(self, text: str) -> None:
        """The job's build says something."""

    def done(self, cost: Cost, *, before: bool) -> None:
        """A job is done; `before`: by an earlier run."""

    def failed(self, job: Job, error: GpubuildError) -> None:
        """A job failed; the others go on."""


def run(
    matrix: Matrix,
    folder: Path,
    progress: RunProgress,
    *,
    jobs: int | None = None,
    compile_argv: tuple[str, ...] = COMPILE,
) -> Ran:
    """Run every job that is not done, then check and index the wheels.

    Args:
        matrix: for this machine.
        folder: holds locks, logs, wheels of each job, the state, and at last the index.
        progress: told what happens.
        jobs: parallel compile jobs of each build.
        compile_argv: what begins the command that builds a lock.

    Raises:
        BuildError: jobs failed; the others are done.
        InvalidInputError: the folder holds something else than an earlier run.
        StorageError: the folder cannot be written, or another run works in it.
        VerificationError: the wheels are not what the jobs promised.
    """
    from filelock import FileLock, Timeout

    _require_ours(folder)
    with storage_errors(folder, "the matrix", hint=HINT):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            what = f"Another gpubuild matrix run works in {folder}."
            raise StorageError(what, hint="Wait for it, or name another place with --dir.") from error
        try:
            return _Run(matrix, folder, progress, jobs, compile_argv).all()
        finally:
            lock.release()


def _require_ours(folder: Path) -> None:
    """Refuse a folder of somebody else's: jobs and locks that the matrix does not have are deleted in it."""
    hint = "Name a folder of its own with --dir."
    if (folder / MATRIX_FILE).is_file():
        if load_listed(folder / MATRIX_FILE).include:
            what = f"{folder} holds the locks of a CI provider's jobs."
            raise InvalidInputError(what, why="Running here would replace them.", hint=hint)
        return
    theirs = sorted(path.name for path in folder.iterdir() if path.name in OURS) if folder.is_dir() else []
    if theirs:
        what = f"{folder} holds {theirs[0]} already, and no earlier run of a matrix."
        raise InvalidInputError(what, hint=hint)


class _Run:
    def __init__(
        self, matrix: Matrix, folder: Path, progress: RunProgress, jobs: int | None, compile_argv: tuple[str, ...]
    ) -> None:
        self.matrix = matrix
        self.folder = folder
        self.progress = progress
        self.compile = [*compile_argv, *(["--jobs", str(jobs)] if jobs else [])]
        self.state = _load_state(folder / STATE)
        self.maker = _maker(matrix)

    def all(self) -> Ran:
        write_locks(self.matrix, self.folder, Ci(folder="."))
        costs, failures, before = [], [], 0
        for number, job in enumerate(self.matrix.jobs, start=1):
            self.progress.job(number, len(self.matrix.jobs), job)
            cost = self._done(job)
            if cost is not None:
                before += 1
                self.progress.done(cost, before=True)
            else:
                try:
                    cost = self._build(job)
                except GpubuildError as error:
                    self.progress.failed(job, error)
                    failures.append(f"{job.name}: {error.what} Log: {self._log(job)}")
                    continue
                self.progress.done(cost, before=False)
            costs.append(cost)
        if failures:
            what = f"{len(failures)} of {len(self.matrix.jobs)} jobs failed."
            hint = "The same command runs again what is not done."
            raise BuildError(what, hint=hint, details=tuple(failures))
        self._sweep()
        check(listed(self.matrix), self.folder / "jobs")
        index = build_index((self.folder / "jobs",), self.folder / "index", replace=True)
        self._drop_old(index)
        return Ran(costs=tuple(costs), before=before, index=index)

    def _log(self, job: Job) -> Path:
        return self.folder / "logs" / f"{job.name}.log"

    def _done(self, job: Job) -> Cost | None:
        """Return what is known of a job that is done: for this plan, by this gpubuild, with its wheels as they were.

        Which job hands over the runtime depends on the others: one that did and does not now is not done, nor is one
        that did not and has to now.
        """
        cost = self.state.done.get(job.name)
        if cost is None or (cost.digest, cost.maker) != (job.digest, self.maker):
            return None
        if any(fnmatchcase(made.filename, RUNTIME_FILES) for made in cost.wheels) != job.runtime:
            return None
        there = self.folder / "jobs" / job.name
        intact = all(
            (there / made.filename).is_file() and sha256_of(there / made.filename) == made.sha256
            for made in cost.wheels
        )
        return cost if intact and cost.wheels else None

    def _build(self, job: Job) -> Cost:
        began = time.monotonic()
        final = self.folder / "jobs" / job.name
        part = self.folder / "jobs" / f".{job.name}.part"
        delete_tree(part)
        counts = [0, 0]

        def hear(line: str) -> None:
            found = _COUNTS.match(line)
            if found is not None:
                counts[:] = [int(found[1]), int(found[2])]
            self.progress.line(line)

        lock = self.folder / LOCKS / f"{job.name}.lock"
        try:
            self._compile([*self.compile, "--lock", str(lock), "--out", str(part)], self._log(job), hear)
        finally:
            spent = self.state.spent.get(job.name, 0.0) + time.monotonic() - began
            self._remember(spent={**self.state.spent, job.name: spent})
        if not job.runtime:
            for path in part.glob(RUNTIME_FILES):
                path.unlink()
        wheels = tuple(_made(path) for path in sorted(part.glob("*.whl")))
        delete_tree(final)
        part.replace(final)
        cost = Cost(
            job=job.name, digest=job.digest, maker=self.maker, seconds=round(spent, 1), hits=counts[0],
            misses=counts[1], wheels=wheels,
        )  # fmt: skip
        left = {name: seconds for name, seconds in self.state.spent.items() if name != job.name}
        self._remember(done={**self.state.done, job.name: cost}, spent=left)
        return cost

    def _compile(self, argv: list[str], log_path: Path, hear: Callable[[str], None]) -> None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("a", buffering=1, encoding="utf-8") as log:
            process.run(argv, log=log, on_line=hear, keep=0)

    def _remember(self, *, spent: dict[str, float], done: dict[str, Cost] | None = None) -> None:
        self.state = msgspec.structs.replace(self.state, spent=spent, done=self.state.done if done is None else done)
        place(self.folder / STATE, msgspec.json.format(msgspec.json.encode(self.state), indent=1))

    def _sweep(self) -> None:
        """Delete what jobs of an earlier matrix left: what is published is what was asked for."""
        names = {job.name for job in self.matrix.jobs}
        for path in (self.folder / "jobs").iterdir():
            if path.name not in names:
                delete_tree(path)

    def _drop_old(self, index: Built) -> None:
        names = {wheel.filename for wheel in index.catalogue.wheels}
        for path in (self.folder / "index").glob("*.whl"):
            if path.name not in names:
                path.unlink()


def _maker(matrix: Matrix) -> str:
    """Return a digest of gpubuild and of the recipes, which are in no plan and decide what comes of it too.

    A version would not do: a checkout keeps it while its files change.
    """
    recipes = {recipe_directory(plan.recipe) for plan in matrix.plans}
    digest = hashlib.sha256()
    for folder in (PACKAGE, *sorted(recipes)):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _made(path: Path) -> Made:
    return Made(filename=path.name, sha256=sha256_of(path), bytes=path.stat().st_size)


def _load_state(path: Path) -> State:
    """Read what earlier runs did; a damaged or foreign file counts as nothing done."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, ValueError):
        return State()
    return state if state.schema == State().schema else State()
