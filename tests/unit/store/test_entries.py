from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from buildtool.errors import IntegrityError, StorageError, UnknownNameError
from buildtool.store.entries import Filled, Store

NOBODY = 65534
FORK = multiprocessing.get_context("fork")


def write(content: Path) -> Filled:
    (content / "sub").mkdir()
    (content / "sub" / "file").write_text("content")
    return Filled(origin="a test", facts={"digest": "abc"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a store, größer")


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "tmp").iterdir())


def test_an_entry_is_made_once_and_found_again(store: Store) -> None:
    made = store.ensure("src", "thing-1", write)
    again = store.ensure("src", "thing-1", lambda _: pytest.fail("made twice"))
    assert made == again == store.find("src", "thing-1")
    assert (again.path / "sub/file").read_text() == "content"
    assert (again.bytes, again.files, again.origin, again.facts) == (7, 1, "a test", {"digest": "abc"})
    assert not leftovers(store)


def test_nothing_is_found_before_it_is_made(store: Store) -> None:
    assert store.find("src", "thing-1") is None
    assert store.entries("src") == ()


def test_a_read_only_entry_cannot_be_changed_but_removed(store: Store) -> None:
    entry = store.ensure("src", "thing-1", write, read_only=True)
    for path in (entry.path, *entry.path.rglob("*")):
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    store.remove("src", "thing-1")
    assert store.find("src", "thing-1") is None
    assert not leftovers(store)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failed_making_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    def fail(content: Path) -> Filled:
        write(content)
        raise error

    with pytest.raises(error):
        store.ensure("src", "thing-1", fail)
    assert store.find("src", "thing-1") is None
    assert not leftovers(store)
    assert store.ensure("src", "thing-1", write).files == 1


def test_a_killed_making_is_swept_up_by_the_next(store: Store) -> None:
    started = FORK.Event()

    def hang(content: Path) -> Filled:
        write(content)
        started.set()
        time.sleep(60)
        return Filled(origin="never")

    child = FORK.Process(target=store.ensure, args=("src", "thing-1", hang))
    child.start()
    assert started.wait(20)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert len(leftovers(store)) == 1
    assert store.find("src", "thing-1") is None
    store.ensure("src", "other-1", write)
    assert not leftovers(store)
    assert store.ensure("src", "thing-1", write).origin == "a test"


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, label: str, total_bytes: int | None) -> None: ...
    def advance(self, count: int) -> None: ...
    def done(self) -> None: ...
    def note(self, text: str) -> None:
        self.said.append(text)


def _make_slowly(store: Store, started: Event, go_on: Event) -> None:
    def slow(content: Path) -> Filled:
        started.set()
        go_on.wait(20)
        return write(content)

    store.ensure("src", "thing-1", slow)


def test_of_two_runs_one_makes_and_one_waits_and_says_so(store: Store) -> None:
    started, go_on = FORK.Event(), FORK.Event()
    child = FORK.Process(target=_make_slowly, args=(store, started, go_on))
    child.start()
    assert started.wait(20)
    with pytest.raises(StorageError, match="in use"), store.locked("src", "thing-1", wait=False):
        pass

    class Release(Notes):
        def note(self, text: str) -> None:
            super().note(text)
            go_on.set()

    notes = Release()
    entry = store.ensure("src", "thing-1", lambda _: pytest.fail("made twice"), progress=notes)
    child.join()
    assert child.exitcode == 0
    assert entry.origin == "a test"
    assert notes.said == ["waiting for another gpubuild run that prepares src thing-1"]


def test_the_draft_of_a_running_maker_is_not_swept_away(store: Store) -> None:
    started, go_on = FORK.Event(), FORK.Event()
    child = FORK.Process(target=_make_slowly, args=(store, started, go_on))
    child.start()
    assert started.wait(20)
    store.ensure("src", "other-1", write)
    assert len(leftovers(store)) == 1
    go_on.set()
    child.join()
    assert child.exitcode == 0
    assert store.find("src", "thing-1") is not None


def test_an_entry_whose_program_runs_is_not_removed(store: Store) -> None:
    def program(content: Path) -> Filled:
        (content / "sleep").write_bytes(Path("/bin/sleep").read_bytes())
        (content / "sleep").chmod(0o755)
        return Filled(origin="a test")

    entry = store.ensure("cuda", "1", program)
    pid = os.posix_spawn(entry.path / "sleep", ["sleep", "60"], {})
    try:
        with pytest.raises(StorageError, match="running program"):
            store.remove("cuda", "1")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    store.remove("cuda", "1")


def test_removing_what_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(UnknownNameError):
        store.remove("src", "thing-1")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "x" * 200])
def test_a_name_cannot_leave_the_store(store: Store, name: str) -> None:
    with pytest.raises(UnknownNameError):
        store.find("src", name)


@pytest.mark.parametrize("damage", ["marker gone", "marker garbled", "marker no text", "tree gone"])
def test_a_damaged_entry_is_told_with_its_cure(store: Store, damage: str) -> None:
    entry = store.ensure("src", "thing-1", write)
    marker = entry.path.parent / "entry.json"
    if damage == "marker gone":
        marker.unlink()
    elif damage == "marker garbled":
        marker.write_bytes(b"{}")
    elif damage == "marker no text":
        marker.write_bytes(marker.read_bytes().replace(b"thing", b"\xff\xfe\xfd"))
    else:
        entry.path.rename(entry.path.with_name("elsewhere"))
    with pytest.raises(IntegrityError) as caught:
        store.find("src", "thing-1")
    assert str(entry.path.parent) in caught.value.hint
    assert store.entries("src") == ()


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        Store(tmp_path / "file" / "store").ensure("src", "thing-1", write)
    assert "GPUBUILD_STORE" in caught.value.hint


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def test_an_entry_that_another_run_removes_first_is_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ensure("src", "thing-1", write)
    locked = store.locked

    def late(kind: str, key: str, *, wait: bool) -> object:
        monkeypatch.undo()
        Store(store.root).remove(kind, key)
        return locked(kind, key, wait=wait)

    monkeypatch.setattr(store, "locked", late)
    assert store.remove("src", "thing-1").key == "thing-1"


def _make_and_remove(store: Store) -> None:
    _become_nobody()
    entry = store.ensure("src", "thing-1", write, read_only=True)
    with pytest.raises(PermissionError):
        (entry.path / "sub" / "new").touch()
    store.remove("src", "thing-1")
    assert not leftovers(store)


def test_an_ordinary_user_makes_and_removes_read_only_entries() -> None:
    with tempfile.TemporaryDirectory() as folder:  # unlike tmp_path, its parents can be entered by others
        Path(folder).chmod(0o777)
        child = FORK.Process(target=_make_and_remove, args=(Store(Path(folder, "store")),))
        child.start()
        child.join()
        assert child.exitcode == 0


def _use_unwritable_store(store: Store) -> None:
    _become_nobody()
    assert store.ensure("src", "thing-1", write).files == 1
    with pytest.raises(StorageError, match="cannot be written"):
        store.ensure("src", "thing-2", write)


def test_an_unwritable_store_still_serves_what_it_has() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = Store(Path(folder, "store"))
        store.ensure("src", "thing-1", write)
        places = [store.root, *store.root.iterdir()]
        for place in places:
            place.chmod(0o555)
        child = FORK.Process(target=_use_unwritable_store, args=(store,))
        child.start()
        child.join()
        for place in places:
            place.chmod(0o755)
        assert child.exitcode == 0
