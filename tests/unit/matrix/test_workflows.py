from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_samples import make_wheel

from buildtool.compat.lock import load_lock
from buildtool.errors import InvalidInputError, VerificationError
from buildtool.matrix import Matrix, Wish, sites, solve
from buildtool.matrix.check import check, load_listed
from buildtool.matrix.ci import Ci
from buildtool.matrix.platforms import here
from buildtool.matrix.survey import split_cards
from buildtool.matrix.write import listed, render, write
from buildtool.matrix.yaml import dump

CARDS = "GTX 970, RTX 3060, RX 6600, Arc A770"
yaml = pytest.importorskip("yaml")


def matrix(cards: str = CARDS, **options: Any) -> Matrix:
    wish = Wish(cards=split_cards(cards), **options)
    return solve(wish, sites(wish.systems))


def test_every_job_builds_its_lock_hands_over_its_wheels_and_is_published(tmp_path: Path) -> None:
    found = matrix()
    files = write(found, "github", Ci(url="https://wheels.example.org"), tmp_path)
    document = yaml.safe_load((tmp_path / ".github/workflows/gpubuild.yml").read_text())
    assert set(document["jobs"]) == {job.name for job in found.jobs} | {"publish"}
    assert document["jobs"]["publish"]["needs"] == [job.name for job in found.jobs]
    for job, plan in zip(found.jobs, found.plans, strict=True):
        lock = tmp_path / "gpubuild-matrix" / "locks" / f"{job.name}.lock"
        assert lock in files
        assert load_lock(lock) == plan
        steps = document["jobs"][job.name]["steps"]
        text = json.dumps(steps)
        assert f"--lock gpubuild-matrix/locks/{job.name}.lock" in text
        assert ("rm -f dist/gpubuild_llama-" in text) is not job.runtime
        assert any(step.get("with", {}).get("name") == f"wheels-{job.name}" for step in steps)
        assert any(step.get("with", {}).get("key", "").endswith(job.digest[:16]) for step in steps)
    assert "matrix check gpubuild-matrix/matrix.json jobs" in json.dumps(document["jobs"]["publish"])
    assert load_listed(tmp_path / "gpubuild-matrix" / "matrix.json") == listed(found)


def test_locks_of_jobs_that_are_gone_are_deleted(tmp_path: Path) -> None:
    write(matrix(), "gitlab", Ci(), tmp_path)
    write(matrix("RTX 3060"), "gitlab", Ci(), tmp_path)
    assert [path.name for path in (tmp_path / "gpubuild-matrix" / "locks").iterdir()] == ["linux-x86_64-cuda13.lock"]


def test_a_pipeline_has_the_same_jobs_and_shares_a_cache_when_there_is_one() -> None:
    found = matrix()
    document = yaml.safe_load(render(found, "gitlab", Ci(cache="redis://cache:6379")))
    assert {job.name for job in found.jobs} <= set(document)
    assert document["pages"]["artifacts"]["paths"] == ["public"]
    for job in found.jobs:
        assert document[job.name]["variables"]["GPUBUILD_REMOTE_CACHE"] == "redis://cache:6379"
        assert "cache" not in document[job.name]
    github = yaml.safe_load(render(found, "github", Ci(cache="redis://cache:6379")))
    assert all("actions/cache@" not in json.dumps(github["jobs"][job.name]) for job in found.jobs)


@pytest.mark.parametrize("url", ["redis://me:hush@cache:6379", "s3://bucket/x?secret_access_key=hush&region=eu"])
def test_the_password_of_a_cache_is_not_written_into_a_repository(url: str) -> None:
    found = matrix("RTX 3060")
    github, gitlab = (render(found, provider, Ci(cache=url)) for provider in ("github", "gitlab"))
    assert "hush" not in github + gitlab
    (job,) = (yaml.safe_load(github)["jobs"][one.name] for one in found.jobs)
    assert job["env"]["GPUBUILD_REMOTE_CACHE"] == "${{ secrets.GPUBUILD_REMOTE_CACHE }}"
    assert all("actions/cache@" not in step.get("uses", "") for step in job["steps"])
    assert "GPUBUILD_REMOTE_CACHE" not in gitlab, "a masked variable of the project is there by itself"


def test_a_cache_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is no address of a cache"):
        render(matrix("RTX 3060"), "github", Ci(cache="cache.lan"))


def test_the_published_wheels_are_signed_by_an_identity_that_only_the_last_job_has() -> None:
    found = matrix()
    document = yaml.safe_load(render(found, "github", Ci()))
    asked = {name: job.get("permissions", document["permissions"]) for name, job in document["jobs"].items()}
    assert [name for name, rights in asked.items() if "id-token" in rights] == ["publish"]
    assert asked["publish"]["attestations"] == "write"
    steps = document["jobs"]["publish"]["steps"]
    (sign,) = [step for step in steps if step.get("uses", "").startswith("actions/attest@")]
    checked = next(step for step in steps if "matrix check" in step.get("run", ""))
    assert steps.index(checked) < steps.index(sign) < len(steps) - 1
    assert sign["if"] == "${{ !github.event.repository.private }}"
    pipeline = yaml.safe_load(render(found, "gitlab", Ci()))
    assert [name for name, job in pipeline.items() if "id_tokens" in job] == ["pages"]


SERVERS = [("https://gitlab.com", "public"), ("https://gitlab.com", "private"), ("https://git.example.org", "public")]


@pytest.mark.skipif(os.name != "posix", reason="a runner's shell")
@pytest.mark.parametrize("where", ["generated", "shipped"])
@pytest.mark.parametrize(("server", "visibility"), SERVERS)
def test_gitlab_signs_where_sigstore_knows_it_and_the_project_is_public(
    tmp_path: Path, where: str, server: str, visibility: str
) -> None:
    if where == "generated":
        script = yaml.safe_load(render(matrix("cpu"), "gitlab", Ci()))["pages"]["script"]
    else:
        text = (Path(__file__).parents[3] / "ci" / "gitlab-wheels.yml").read_text("utf-8")
        script = yaml.safe_load(text)[".gpubuild-publish"]["script"]
    (line,) = [line for line in script if "sigstore sign" in line]
    tools, site = tmp_path / ".sigstore" / "bin", tmp_path / "public"
    for folder in (tools, site):
        folder.mkdir(parents=True)
    (site / "a.whl").touch()
    for name in ("pip", "sigstore"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tools / name).chmod(0o755)
    env = {"PATH": os.defpath, "CI_SERVER_URL": server, "CI_PROJECT_VISIBILITY": visibility}
    done = subprocess.run(["sh", "-ec", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    said = ["pip install --quiet sigstore==4.*", "sigstore sign --overwrite public/a.whl"]
    assert done.stdout.splitlines() == (said if (server, visibility) == SERVERS[0] else [])


def test_this_machine_is_no_provider() -> None:
    site = here(sites(("debian-12-x86_64",))[0].host)
    with pytest.raises(InvalidInputError, match="matrix for this machine"):
        render(solve(Wish(cards=split_cards("RTX 3060"), systems=("here",)), (site,)), "github", Ci())


words = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("äß€"), max_size=8)
scalars = words | st.booleans() | st.integers()
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


@settings(max_examples=25)
@given(st.dictionaries(words, documents, max_size=4))
def test_yaml_says_what_was_meant(document: dict[str, Any]) -> None:
    text = json.loads(json.dumps(document))
    assert yaml.safe_load(dump(text) or "{}") == text or not text


def wheels(folder: Path, found: Matrix) -> None:
    """Make every promised wheel; those for the CPU and Vulkan hold no device code, as it should be."""
    for distribution, version in (wheel for kind in listed(found).wheels.values() for wheel in kind):
        make_wheel(folder, distribution, version, tag="manylinux_2_34_x86_64", targets=())


def test_the_last_check_passes_what_was_promised(tmp_path: Path) -> None:
    found = matrix("cpu, vulkan")
    wheels(tmp_path, found)
    assert [one.job for one in check(listed(found), tmp_path)] == ["linux-x86_64-cpu", "linux-x86_64-vulkan"]


def test_the_last_check_refuses_missing_foreign_and_empty_wheels(tmp_path: Path) -> None:
    found = matrix("cpu, vulkan, H100")
    wheels(tmp_path, found)
    make_wheel(tmp_path, "stranger", "1.0", tag="any")
    next(tmp_path.glob("*vulkan*")).unlink()
    with pytest.raises(VerificationError) as caught:
        check(listed(found), tmp_path)
    lines = "\n".join(caught.value.details)
    assert "promised gpubuild-llama-vulkan" in lines
    assert "is for sm_90; device code inside: none" in lines
    assert "no job promised stranger-1.0" in lines
    assert len(caught.value.details) == 3


def test_a_list_of_jobs_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in (b"", b"[]", b"{}", b'{"jobs": "\xff"}', msgspec.json.encode({"schema": 2, "jobs": [], "wheels": {}})):
        (tmp_path / "matrix.json").write_bytes(text)
        with pytest.raises(InvalidInputError):
            load_listed(tmp_path / "matrix.json")
    assert zipfile.is_zipfile(tmp_path / "matrix.json") is False


def test_a_list_of_jobs_that_lacks_a_jobs_wheels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(listed(matrix()), wheels={})))
    with pytest.raises(InvalidInputError, match="does not say which wheels"):
        load_listed(path)
