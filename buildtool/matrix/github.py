"""A GitHub Actions workflow of a matrix: one job per build, then one that checks, indexes and publishes."""

from __future__ import annotations

from buildtool.matrix.ci import Ci, build_lines, container_options, install_lines, platform, publish_lines
from buildtool.matrix.model import Job, Matrix
from buildtool.matrix.yaml import Value, dump

PATH = ".github/workflows/gpubuild.yml"
CHECKOUT = "actions/checkout@v6"
CACHE = "actions/cache@v5"
UPLOAD = "actions/upload-artifact@v6"
DOWNLOAD = "actions/download-artifact@v7"
ATTEST = "actions/attest@v4"
PAGES_UPLOAD = "actions/upload-pages-artifact@v4"
PAGES_DEPLOY = "actions/deploy-pages@v5"
# GitHub signs for a private repository only on its Enterprise plan.
MAY_ATTEST = "${{ !github.event.repository.private }}"
LIMIT_MINUTES = 350  # a hosted runner ends a job after 360
NOTE = """\
Written by gpubuild matrix; write it again when the cards or gpubuild change.
Each job builds exactly what its lock says; the last one checks every wheel, makes an index of them, signs them with the
identity of this repository (Sigstore) where GitHub offers that, and publishes it."""


def workflow(matrix: Matrix, ci: Ci) -> str:
    """Return the workflow as YAML."""
    jobs: dict[str, Value] = {job.name: _job(job, ci) for job in matrix.jobs}
    jobs["publish"] = _publish(matrix, ci)
    document: dict[str, Value] = {
        "name": "gpubuild wheels",
        "on": {"workflow_dispatch": {}, "push": {"tags": ["v*"]}},
        "permissions": {"contents": "read"},
        "jobs": jobs,
    }
    return dump(document, NOTE)


def _job(job: Job, ci: Ci) -> Value:
    row = platform(job)
    windows = row.system == "windows"
    value: dict[str, Value] = {
        "name": f"{job.os} {job.backend} {' '.join(job.targets)}".strip(),
        "runs-on": row.github,
        "timeout-minutes": LIMIT_MINUTES,
    }
    if row.image:
        container: dict[str, Value] = {"image": row.image}
        if container_options(job):
            container["options"] = container_options(job)
        value["container"] = container
    env: dict[str, Value] = {"GPUBUILD_CACHE": ".gpubuild-cache"}  # the workspace has another path in a container
    if ci.cache:
        env["GPUBUILD_REMOTE_CACHE"] = "${{ secrets.GPUBUILD_REMOTE_CACHE }}" if ci.secret_cache else ci.cache
        env["GPUBUILD_REMOTE_CACHE_KEY"] = "${{ secrets.GPUBUILD_REMOTE_CACHE_KEY }}"
    value["env"] = env
    value["defaults"] = {"run": {"shell": "bash"}}
    value["steps"] = _steps(job, ci, windows=windows)
    return value


def _steps(job: Job, ci: Ci, *, windows: bool) -> list[Value]:
    row = platform(job)
    steps: list[Value] = []
    if row.setup:
        steps.append({"name": "Make the machine ready", "shell": "sh", "run": _script(list(row.setup))})
    steps.append({"uses": CHECKOUT})
    if not ci.cache:
        steps.append(
            {
                "uses": CACHE,
                "with": {
                    "path": ".gpubuild-cache/sccache\n.gpubuild-cache/ccache\n",
                    "key": job.cache_key,
                    "restore-keys": job.cache_prefix,
                },
            }
        )
    lines = install_lines(ci) + build_lines(ci, job)
    if windows:
        steps.append({"uses": "ilammy/msvc-dev-cmd@v1"})
        lines = [line.replace("python3 ", "python ").replace(".venv/bin/", ".venv/Scripts/") for line in lines]
    steps.append({"name": "Build", "run": _script(lines)})
    steps.append(
        {
            "uses": UPLOAD,
            "with": {"name": job.artefact, "path": "dist/*.whl", "if-no-files-found": "error"},
        }
    )
    return steps


def _publish(matrix: Matrix, ci: Ci) -> Value:
    return {
        "needs": [job.name for job in matrix.jobs],
        "runs-on": "ubuntu-24.04",
        "permissions": {"contents": "read", "pages": "write", "id-token": "write", "attestations": "write"},
        "environment": {"name": "github-pages", "url": "${{ steps.deploy.outputs.page_url }}"},
        "steps": [
            {"uses": CHECKOUT},
            {"uses": DOWNLOAD, "with": {"pattern": "wheels-*", "path": "jobs"}},
            {"name": "Check and index", "run": _script(install_lines(ci) + publish_lines(ci, "jobs", "site"))},
            {"name": "Sign", "if": MAY_ATTEST, "uses": ATTEST, "with": {"subject-path": "site/*.whl"}},
            {"uses": PAGES_UPLOAD, "with": {"path": "site"}},
            {"id": "deploy", "uses": PAGES_DEPLOY},
        ],
    }


def _script(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
