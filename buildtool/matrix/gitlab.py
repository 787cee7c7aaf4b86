"""A GitLab pipeline of a matrix: one job per build, then one that checks, indexes and publishes."""

from __future__ import annotations

from buildtool.matrix.ci import Ci, build_lines, install_lines, platform, publish_lines
from buildtool.matrix.model import Job, Matrix
from buildtool.matrix.yaml import Value, dump

PATH = ".gitlab-ci.yml"
PUBLISH_IMAGE = "debian:12"
# Sigstore's public service knows gitlab.com, and its log names the project for ever.
MAY_SIGN = 'test "$CI_SERVER_URL/$CI_PROJECT_VISIBILITY" != https://gitlab.com/public'
IDENTITY = {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}
NOTE = """\
Written by gpubuild matrix; write it again when the cards or gpubuild change.
Each job builds exactly what its lock says; the last one checks every wheel, makes an index of them, signs them with the
identity of this project (Sigstore) where it is a public one of gitlab.com, and publishes it."""


def pipeline(matrix: Matrix, ci: Ci) -> str:
    """Return the pipeline as YAML."""
    document: dict[str, Value] = {"stages": ["build", "publish"]}
    document |= {job.name: _job(job, ci) for job in matrix.jobs}
    document["pages"] = _publish(matrix, ci)
    return dump(document, NOTE)


def _job(job: Job, ci: Ci) -> Value:
    row = platform(job)
    value: dict[str, Value] = {"stage": "build", "tags": [row.gitlab], "timeout": "5h 50m"}
    if row.image:
        value["image"] = row.image
    variables: dict[str, Value] = {"GPUBUILD_CACHE": "$CI_PROJECT_DIR/.gpubuild-cache"}
    if ci.cache:
        if not ci.secret_cache:  # else it is a masked variable of the project, as the key is
            variables["GPUBUILD_REMOTE_CACHE"] = ci.cache
    else:
        paths: list[Value] = [".gpubuild-cache/sccache", ".gpubuild-cache/ccache"]
        value["cache"] = {"key": job.cache_key, "fallback_keys": [job.cache_prefix + "protected"], "paths": paths}
    value["variables"] = variables
    lines = install_lines(ci) + build_lines(ci, job)
    handed = [f"mkdir -p jobs/{job.name}", f"mv dist/*.whl jobs/{job.name}/"]
    if row.system == "windows":
        lines = [line.replace("python3 ", "python ").replace(".venv/bin/", ".venv/Scripts/") for line in lines]
        lines = [line.replace("rm -f ", "Remove-Item ") for line in lines]
        handed = [f"New-Item -ItemType Directory jobs/{job.name}", f"Move-Item dist/*.whl jobs/{job.name}/"]
    value["script"] = [*row.setup, *lines, *handed]
    value["artifacts"] = {"name": job.artefact, "paths": [f"jobs/{job.name}"]}
    return value


def _publish(matrix: Matrix, ci: Ci) -> Value:
    setup = "apt-get update && apt-get install -y --no-install-recommends python3-venv g++ ca-certificates"
    return {
        "stage": "publish",
        "image": PUBLISH_IMAGE,
        "needs": [job.name for job in matrix.jobs],
        "id_tokens": IDENTITY,
        "script": [setup, *install_lines(ci), *publish_lines(ci, "jobs", "public"), *_sign_lines("public")],
        "artifacts": {"paths": ["public"]},
    }


def _sign_lines(site: str) -> list[str]:
    """Return what writes a Sigstore bundle beside each wheel, in an environment that gpubuild does not share."""
    sign = f".sigstore/bin/sigstore sign --overwrite {site}/*.whl"
    return [
        "python3 -m venv .sigstore",
        f'{MAY_SIGN} || {{ .sigstore/bin/pip install --quiet "sigstore==4.*" && {sign}; }}',
    ]
