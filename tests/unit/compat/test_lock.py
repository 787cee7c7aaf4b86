from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from compat_machines import debian
from hypothesis import given
from hypothesis import strategies as st

from buildtool.compat import resolve
from buildtool.compat.lock import load_lock, lock_bytes, parse_lock, save_lock
from buildtool.compat.model import Plan, Request
from buildtool.errors import LockFileError, StorageError


@pytest.fixture
def plan() -> Plan:
    return resolve(Request(targets=("sm_90",)), debian())


def test_a_plan_survives_its_lock_file(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "über uns" / "gpubuild.lock"
    save_lock(plan, path)
    assert load_lock(path) == plan
    assert [one.name for one in path.parent.iterdir()] == ["gpubuild.lock"]
    assert "sm_90" in path.read_text("utf-8")


def test_a_second_save_replaces_the_first(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "gpubuild.lock"
    save_lock(plan, path)
    other = resolve(Request(), debian())
    save_lock(other, path)
    assert load_lock(path) == other


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"90-real"', '"89-real"', "edited"),
        ('"optimised code"', '"fast code"', "edited"),
        ('"note": "W', '"nota": "W', "damaged"),
        ('"recipe": "llama.cpp"', '"recept": "llama.cpp"', "no plan"),
    ],
)
def test_an_edited_lock_file_is_refused(plan: Plan, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "gpubuild.lock"
    save_lock(plan, path)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(LockFileError, match=complaint) as caught:
        load_lock(path)
    assert "gpubuild plan --out" in caught.value.hint


def test_a_newer_schema_asks_for_a_newer_gpubuild(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "gpubuild.lock"
    save_lock(plan, path)
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content | {"schema": 99, "new field": 1}), "utf-8")
    with pytest.raises(LockFileError, match="schema 99") as caught:
        load_lock(path)
    assert "Update gpubuild" in caught.value.hint
    path.write_text(json.dumps(content | {"plan": content["plan"] | {"schema": 7, "new field": 1}}), "utf-8")
    with pytest.raises(LockFileError, match="schema 7") as caught:
        load_lock(path)
    assert "Update gpubuild" in caught.value.hint


def test_a_missing_lock_file_and_an_unwritable_place_are_named(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(LockFileError, match="no lock file"):
        load_lock(tmp_path / "nowhere.lock")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        save_lock(plan, tmp_path / "file" / "gpubuild.lock")
    with pytest.raises(LockFileError, match="cannot be read"):
        load_lock(tmp_path)


def test_deeply_nested_json_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "gpubuild.lock"
    path.write_text('{"note": ' + "[" * (sys.getrecursionlimit() * 2))
    with pytest.raises(LockFileError, match="damaged"):
        load_lock(path)


@given(st.binary(max_size=200))
def test_any_bytes_give_one_clear_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("lock") / "gpubuild.lock"
    path.write_bytes(data)
    with pytest.raises(LockFileError):
        load_lock(path)


def test_a_lock_from_before_a_field_came_is_read(plan: Plan) -> None:
    """A field that was added with a default changes the digest of the plan, not that of the file."""
    older = json.loads(lock_bytes(plan))
    del older["plan"]["inside"]
    text = json.dumps(older["plan"], separators=(",", ":"), ensure_ascii=False).encode()
    older["digest"] = hashlib.sha256(text).hexdigest()
    assert parse_lock(json.dumps(older).encode(), "x", "again") == plan
    older["plan"]["profile"] = "minimal"
    with pytest.raises(LockFileError, match="edited"):
        parse_lock(json.dumps(older).encode(), "x", "again")
