"""What every CI job does, whatever the provider calls it."""

from __future__ import annotations

import shlex

import msgspec

from buildtool import __version__
from buildtool.matrix.model import Job, Matrix
from buildtool.matrix.platforms import HERE, Platform, platforms
from buildtool.share.settings import holds_secret

LOCKS = "locks"
RUNTIME_FILES = "gpubuild_llama-*.whl"


class Ci(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs are set up.

    Attributes:
        gpubuild: what pip installs to have gpubuild.
        folder: of the repository, with the locks and ``matrix.json``.
        url: where the index will be served; "" leaves the lines on its page open.
        cache: address of a shared compiler cache; "" for the provider's own cache of files.
    """

    gpubuild: str = f"gpubuild=={__version__}"
    folder: str = "gpubuild-matrix"
    url: str = ""
    cache: str = ""

    @property
    def secret_cache(self) -> bool:
        """Whether the cache's address holds a password: then the jobs take it from a secret of the repository."""
        return bool(self.cache) and holds_secret(self.cache)


def platform(job: Job) -> Platform:
    """Return where a job runs."""
    return next(row for row in platforms() if row.name == job.platform)


def container_options(job: Job) -> str:
    """Return what a job's container needs beyond its image: a root filesystem is entered through namespaces."""
    return "--privileged" if job.provider == "rootfs" else ""


def can_be_written(matrix: Matrix) -> bool:
    """Whether every job runs on a platform that a CI provider has."""
    return all(job.platform != HERE for job in matrix.jobs)


def lock_path(ci: Ci, job: Job) -> str:
    """Return where a job's lock lies in the repository."""
    return f"{ci.folder}/{LOCKS}/{job.name}.lock"


def install_lines(ci: Ci) -> list[str]:
    """Return what makes gpubuild available as ``.venv/bin/gpubuild``."""
    return ["python3 -m venv .venv", f".venv/bin/pip install --quiet {shlex.quote(ci.gpubuild)}"]


def build_lines(ci: Ci, job: Job) -> list[str]:
    """Return what builds a job's wheels into ``dist/`` and leaves only what it hands over."""
    lines = [f".venv/bin/gpubuild compile --lock {lock_path(ci, job)} --out dist"]
    return lines if job.runtime else [*lines, f"rm -f dist/{RUNTIME_FILES}"]


def publish_lines(ci: Ci, jobs: str, site: str) -> list[str]:
    """Return what checks the wheels of all jobs and makes an index of them in `site`."""
    url = f" --url {shlex.quote(ci.url)}" if ci.url else ""
    return [
        f".venv/bin/gpubuild matrix check {ci.folder}/matrix.json {jobs}",
        f".venv/bin/gpubuild index build {jobs} --out {site}{url}",
    ]
