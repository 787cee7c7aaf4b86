from __future__ import annotations

import json
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
    for text in (b"", b"[]", b"{}", msgspec.json.encode({"schema": 2, "jobs": [], "wheels": {}})):
        (tmp_path / "matrix.json").write_bytes(text)
        with pytest.raises(InvalidInputError):
            load_listed(tmp_path / "matrix.json")
    assert zipfile.is_zipfile(tmp_path / "matrix.json") is False


def test_a_list_of_jobs_that_lacks_a_jobs_wheels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(listed(matrix()), wheels={})))
    with pytest.raises(InvalidInputError, match="does not say which wheels"):
        load_listed(path)
