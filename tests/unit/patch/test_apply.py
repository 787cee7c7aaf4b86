"""Patches on trees: all or none, on a copy, and the user's tree is never touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from patch_samples import BODY, COMMON, HEADER, HEADER_TEXT, ROW, write_series

from buildtool.compat.model import PlanPatch
from buildtool.compat.series import read_series
from buildtool.compat.targets import parse_target, parse_targets
from buildtool.errors import DataError, IntegrityError, InvalidInputError, PatchConflictError, StorageError
from buildtool.patch import apply, check_tree, load_body, rehearse, write_patched
from buildtool.patch.apply import patched_source
from buildtool.source.digest import tree_digest
from buildtool.source.local import local_tree
from buildtool.store.entries import Store

ONE = parse_target("gfx1013")
SECOND = """
[[edit]]
kind = "guard"
files = ["ggml/src/ggml-cuda/common.cuh"]
beside = "__gfx1030__"
term = "__{macro}__"
"""


@pytest.fixture
def shipped(series: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample series as if it were shipped."""
    monkeypatch.setattr(apply, "series_directory", lambda _: series)
    return series


def plan_patch(series: Path, *targets: str) -> PlanPatch:
    row = read_series(series).patch("one")
    return PlanPatch(name=row.name, sha256=row.sha256, targets=targets or ("gfx1013",))


def test_a_patched_source_is_a_copy_in_the_store(shipped: Path, tree: Path, tmp_path: Path) -> None:
    source, store = local_tree(str(tree), ""), Store(tmp_path / "store")
    found = patched_source([plan_patch(shipped)], "sample", source, store=store)
    assert (Path(found.tree.path) / HEADER).read_text() == HEADER_TEXT.replace(
        "defined(__gfx1012__)", "defined(__gfx1012__) || defined(__gfx1013__)"
    )
    assert found.applied == (plan_patch(shipped),)
    assert not found.tree.mutable
    assert found.tree.digest == tree_digest(Path(found.tree.path)) != source.digest
    assert tree_digest(tree) == source.digest
    assert patched_source([plan_patch(shipped)], "sample", source, store=store) == found
    assert len(store.entries("patched")) == 1


def test_a_patched_tree_needs_the_patch_no_more(shipped: Path, tree: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = patched_source([plan_patch(shipped)], "sample", local_tree(str(tree), ""), store=store)
    again = patched_source([plan_patch(shipped)], "sample", first.tree, store=store)
    assert again.tree == first.tree
    assert again.applied == ()
    assert [verdict.state for verdict in again.verdicts] == ["not-needed"]


def test_no_patch_no_copy(tree: Path) -> None:
    source = local_tree(str(tree), "")
    assert patched_source([], "sample", source).tree is source


def test_other_targets_of_one_patch_make_another_tree(shipped: Path, tree: Path, tmp_path: Path) -> None:
    source, store = local_tree(str(tree), ""), Store(tmp_path / "store")
    digests = {
        patched_source([plan_patch(shipped, *targets)], "sample", source, store=store).tree.digest
        for targets in (["gfx1011"], ["gfx1013"], ["gfx1011", "gfx1013"])
    }
    assert len(digests) == 3


def test_a_conflict_shows_the_edit_and_changes_nothing(tree: Path, tmp_path: Path) -> None:
    series = write_series(tmp_path / "two", BODY + SECOND)
    row = read_series(series).patch("one")
    before = tree_digest(tree)
    with pytest.raises(PatchConflictError) as caught:
        rehearse(series, [(row, ONE)], str(tree))
    assert COMMON in caught.value.why
    assert "gfx1013" in caught.value.why
    assert caught.value.exit_code == 18
    assert tree_digest(tree) == before
    (verdict,) = check_tree(series, [row], str(tree))
    assert (verdict.state, verdict.files, verdict.targets) == ("conflicts", (COMMON,), ("gfx1011", "gfx1013"))


def test_a_patch_that_conflicts_leaves_no_half_of_itself_behind(tree: Path, tmp_path: Path) -> None:
    series = write_series(tmp_path / "two", BODY + SECOND)
    from buildtool.patch.rehearse import Draft, try_patch

    row = read_series(series).patch("one")
    draft = Draft(tree)
    assert try_patch(draft, row, load_body(series, row), ONE).state == "conflicts"
    assert draft.edited == {}


@pytest.mark.parametrize("kind", ["missing", "link", "linked folder", "binary", "folder"])
def test_a_file_that_cannot_be_edited_is_a_conflict(series: Path, tree: Path, tmp_path: Path, kind: str) -> None:
    path = tree / HEADER
    text = path.read_bytes()
    path.unlink()
    if kind == "link":
        (tmp_path / "elsewhere.h").write_bytes(text)
        path.symlink_to(tmp_path / "elsewhere.h")
    elif kind == "linked folder":
        path.parent.rmdir()
        (tmp_path / "vendors").mkdir()
        (tmp_path / "vendors" / "hip.h").write_bytes(text)
        path.parent.symlink_to(tmp_path / "vendors")
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    elif kind == "folder":
        path.mkdir()
    row = read_series(series).patch("one")
    (verdict,) = check_tree(series, [row], str(tree), ONE)
    words = {"missing": "no such file", "folder": "no such file", "binary": "cannot be read as text"}
    assert verdict.state == "conflicts"
    assert words.get(kind, "symbolic link") in verdict.reason


def test_a_tree_behind_a_link_and_a_read_only_tree_are_patched(shipped: Path, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    for path in sorted(tree.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    tree.chmod(0o555)
    try:
        found = patched_source(
            [plan_patch(shipped)], "sample", local_tree(str(tmp_path / "link"), ""), store=Store(tmp_path / "store")
        )
        assert "__gfx1013__" in (Path(found.tree.path) / HEADER).read_text()
        row = read_series(shipped).patch("one")
        draft, _ = rehearse(shipped, [(row, ONE)], str(tree))
        write_patched(local_tree(str(tree), ""), draft.edited, tmp_path / "out")
        assert "__gfx1013__" in (tmp_path / "out" / HEADER).read_text()
        (tmp_path / "out" / "new").touch()
    finally:
        for path in (tree, *tree.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


def test_links_of_a_tree_keep_leading_where_they_led(shipped: Path, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tree / "inside.h").symlink_to(HEADER)
    (tree / "outside").symlink_to("../models")
    found = patched_source([plan_patch(shipped)], "sample", local_tree(str(tree), ""), store=Store(tmp_path / "store"))
    copy = Path(found.tree.path)
    assert (copy / "inside.h").readlink() == Path(HEADER)
    assert (copy / "outside").resolve() == (tmp_path / "models").resolve()


def test_a_build_directory_and_git_are_not_copied(shipped: Path, tree: Path, tmp_path: Path) -> None:
    for name in (".git/config", "build/CMakeCache.txt", "build/big.o"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).touch()
    found = patched_source([plan_patch(shipped)], "sample", local_tree(str(tree), ""), store=Store(tmp_path / "store"))
    assert not (Path(found.tree.path) / ".git").exists()
    assert not (Path(found.tree.path) / "build").exists()


def test_a_tree_that_changes_while_it_is_copied_is_refused(shipped: Path, tree: Path, tmp_path: Path) -> None:
    source = local_tree(str(tree), "")
    (tree / "CMakeLists.txt").write_text("changed")
    with pytest.raises(InvalidInputError, match="changed while it was copied"):
        patched_source([plan_patch(shipped)], "sample", source, store=Store(tmp_path / "store"))
    assert Store(tmp_path / "store").entries("patched") == ()


def test_a_plan_with_another_patch_of_that_name_is_refused(shipped: Path, tree: Path) -> None:
    for name, sha256 in (("one", "0" * 64), ("two", plan_patch(shipped).sha256)):
        with pytest.raises(IntegrityError, match="does not have"):
            patched_source([PlanPatch(name=name, sha256=sha256)], "sample", local_tree(str(tree), ""))


@pytest.mark.parametrize("place", ["there", "inside"])
def test_a_copy_never_replaces_anything(tree: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" if place == "there" else tree / "patched"
    with pytest.raises(InvalidInputError):
        write_patched(local_tree(str(tree), ""), {HEADER: ""}, out)
    assert not (tree / "patched").exists()


def test_a_place_that_cannot_be_written_is_said(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        write_patched(local_tree(str(tree), ""), {HEADER: ""}, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("row", "body", "error"),
    [
        ("nonsense = ", BODY, DataError),
        (ROW + "unknown = 1\n", BODY, DataError),
        (ROW.replace('source = ["made up"]', ""), BODY, DataError),
        (ROW + ROW, BODY, DataError),
        (ROW.replace('file = "one.toml"', 'file = "../one.toml"'), BODY, DataError),
        (ROW.replace('file = "one.toml"', 'file = "two.toml"'), BODY, IntegrityError),
        (ROW.replace("{sha256}", "0" * 64), BODY, IntegrityError),
        (ROW, BODY + "unknown = 1\n", DataError),
        (ROW, BODY.replace('kind = "guard"', 'kind = "guess"'), DataError),
        (ROW, BODY.replace("ggml/src", "../src"), DataError),
        (ROW, BODY.replace("ggml/src", "/src"), DataError),
        (ROW, BODY.replace("ggml/src/ggml-cuda/vendors", "common"), DataError),
        (ROW, BODY.replace('["ggml/src/ggml-cuda/vendors/hip.h"]', "[]"), DataError),
        (ROW, "\xff", DataError),
    ],
)
def test_a_damaged_series_is_refused(tmp_path: Path, row: str, body: str, error: type[Exception]) -> None:
    folder = write_series(tmp_path / "bad", body, row)
    with pytest.raises(error):
        _read_whole(folder)


def _read_whole(folder: Path) -> None:
    for one in read_series(folder).patches:
        load_body(folder, one)


def test_a_folder_without_a_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"series\.toml"):
        read_series(tmp_path)


def test_only_the_targets_named_are_put_in(series: Path, tree: Path) -> None:
    row = read_series(series).patch("one")
    draft, (verdict,) = rehearse(series, [(row, parse_targets(["gfx1011", "gfx1030"]))], str(tree))
    assert verdict.targets == ("gfx1011",)
    assert "gfx1013" not in draft.edited[HEADER]
