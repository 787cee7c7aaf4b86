"""Writes a matrix for a CI provider: locks, the list of jobs, and the workflow that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from buildtool.compat.lock import save_lock
from buildtool.errors import InvalidInputError
from buildtool.matrix import github, gitlab
from buildtool.matrix.ci import LOCKS, Ci, can_be_written, container_options, lock_path, platform
from buildtool.matrix.model import Job, Matrix
from buildtool.store.placing import write_whole
from buildtool.store.storage import storage_errors

Provider = Literal["github", "gitlab"]
MATRIX_FILE = "matrix.json"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as one entry of a CI provider's own matrix (``strategy.matrix.include`` of GitHub)."""

    job: str
    runner: str
    image: str
    options: str
    runtime: bool
    artefact: str
    cache_key: str
    cache_prefix: str


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``matrix.json`` holds: the jobs, the wheels that each makes, and `include` for a provider's matrix."""

    schema: int = 1
    jobs: tuple[Job, ...]
    include: tuple[Entry, ...] = ()
    wheels: dict[str, tuple[tuple[str, str], ...]]  # job to (distribution, version) of what it hands over


def render(matrix: Matrix, provider: Provider, ci: Ci) -> str:
    """Return the workflow or pipeline.

    Raises:
        InvalidInputError: a job runs on this machine, which no provider has.
    """
    if not can_be_written(matrix):
        what = "A matrix for this machine is no matrix for a CI provider."
        raise InvalidInputError(what, hint="Name systems with --os, or run it here: gpubuild matrix run")
    return github.workflow(matrix, ci) if provider == "github" else gitlab.pipeline(matrix, ci)


def listed(matrix: Matrix) -> Listed:
    """Return the jobs with the wheels that they hand over."""
    wheels = {
        job.name: tuple(
            (wheel.distribution, wheel.version) for wheel in plan.wheels if job.runtime or wheel.role != "runtime"
        )
        for job, plan in zip(matrix.jobs, matrix.plans, strict=True)
    }
    include = tuple(_entry(job) for job in matrix.jobs) if can_be_written(matrix) else ()
    return Listed(jobs=matrix.jobs, include=include, wheels=wheels)


def _entry(job: Job) -> Entry:
    row = platform(job)
    return Entry(
        job=job.name,
        runner=row.github,
        image=row.image,
        options=container_options(job),
        runtime=job.runtime,
        artefact=job.artefact,
        cache_key=job.cache_key,
        cache_prefix=job.cache_prefix,
    )


def write(matrix: Matrix, provider: Provider, ci: Ci, out: Path) -> tuple[Path, ...]:
    """Write everything that the jobs need below `out`, the root of a repository, and return the files.

    Raises:
        InvalidInputError: a job runs on this machine.
        StorageError: `out` cannot be written.
    """
    text = render(matrix, provider, ci)
    written = list(write_locks(matrix, out, ci))
    path = out / (github.PATH if provider == "github" else gitlab.PATH)
    place(path, text.encode())
    return (*written, path)


def write_locks(matrix: Matrix, out: Path, ci: Ci) -> tuple[Path, ...]:
    """Write ``matrix.json`` and the locks, delete locks of jobs that are gone, and return the files."""
    folder = out / ci.folder
    content = msgspec.json.format(msgspec.json.encode(listed(matrix)), indent=1) + b"\n"
    place(folder / MATRIX_FILE, content)  # first: it tells whose folder this is
    written = []
    for job, plan in zip(matrix.jobs, matrix.plans, strict=True):
        save_lock(plan, out / lock_path(ci, job))
        written.append(out / lock_path(ci, job))
    for old in sorted((folder / LOCKS).glob("*.lock")):
        if old not in written:
            old.unlink()
    return (*written, folder / MATRIX_FILE)


def place(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it.

    Raises:
        StorageError: the place cannot be written.
    """
    with storage_errors(path.parent, path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
