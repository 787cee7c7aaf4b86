"""A change to an installation is done wholly or not at all; what others own stays."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
from faults import Course, Ground

from buildtool.deploy.journal import FOLDER
from buildtool.errors import (
    GpubuildError,
    IntegrityError,
    InvalidInputError,
    ServiceError,
    StorageError,
    VerificationError,
)

# In memory where that is possible: a disk that others use takes half a second for each run's syncs.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir=MEMORY))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def ground(folder: Path) -> Ground:
    made = Ground(folder)
    made.make()
    return made


@pytest.mark.parametrize("scenario", faults.SCENARIOS, ids=lambda one: one.name)
def test_a_kill_or_a_fault_leaves_the_old_or_the_new(scenario: faults.Scenario, folder: Path) -> None:
    course = Course(scenario, folder)
    draw = faults.draws(7)
    states = set()
    for turn in range(3):
        number = draw.randint(1, course.count)
        states.add(faults.killed_at(course, f"killed-{turn}", number, after=draw.random() < 0.5))
    for turn, fault in enumerate(draw.sample(list(faults.FAULTS.values()), 3)):
        number, lasting = draw.randint(1, course.count), draw.random() < 0.5
        states.add(faults.failed_at(course, f"failed-{turn}", number, fault, lasting=lasting))
    assert states <= {"old", "new"}


def test_restore_gives_back_the_times_as_well(ground: Ground) -> None:
    before, times = ground.snapshot(), ground.times()
    faults.enable(ground, ground.hands())
    faults.switch(ground, ground.hands())
    assert ground.snapshot() != before
    faults.restore(ground, ground.hands())
    assert ground.snapshot() == before
    assert ground.times() == times


def test_a_restore_that_was_broken_off_anywhere_gives_back_the_times_too(folder: Path) -> None:
    number, states = 0, set()
    while True:
        number += 1
        ground = Ground(folder / str(number))
        ground.make()
        times = ground.times()
        faults.enable(ground, ground.hands())
        disk = faults.Broken(number, errno.EIO, lasting=True)
        with contextlib.suppress(GpubuildError):
            faults.restore(ground, ground.hands(disk))
        if not ground.hands().transactions.state.folder.exists():
            break  # it came to its end
        ground.hands().recover()
        back = ground.hands().transactions.state.record() is None
        states.add(back)
        if not back:
            faults.restore(ground, ground.hands())
        assert ground.times() == times, f"broken off at change {number}"
    assert states == {True, False}


def test_a_failed_proof_takes_everything_back(ground: Ground) -> None:
    before = ground.snapshot()
    with pytest.raises(VerificationError) as caught:
        ground.hands().put(ground.order(), faults.not_proved, now=True)
    assert "as it was before" in caught.value.details[-1]
    assert ground.snapshot() == before
    assert not list(ground.root.rglob(FOLDER))


def test_a_service_that_does_not_start_takes_everything_back(ground: Ground) -> None:
    before = ground.snapshot()
    with pytest.raises(ServiceError):
        ground.hands(refuses=1).put(ground.order(), faults.proved, now=True)
    assert ground.snapshot() == before


def test_a_service_that_never_starts_again_still_gets_its_files_back(ground: Ground) -> None:
    before = ground.snapshot()
    with pytest.raises(ServiceError):
        ground.hands(refuses=99).put(ground.order(), faults.proved, now=True)
    assert ground.snapshot() == before


def test_foreign_files_in_our_folder_are_kept(ground: Ground) -> None:
    faults.enable(ground, ground.hands())
    own = ground.libraries / faults.RUNNER / "rocblas/notes.txt"
    own.write_text("mine")
    (ground.units / "ollama.service.d/10-mine.conf").write_text("[Service]\n")
    faults.switch(ground, ground.hands())
    assert own.read_text() == "mine"
    outcome = ground.hands().take_out(now=True)
    assert str(own) in outcome.kept
    left = {path.name for path in (ground.libraries / faults.RUNNER).rglob("*")}
    assert left == {"rocblas", "notes.txt"}
    assert [path.name for path in (ground.units / "ollama.service.d").iterdir()] == ["10-mine.conf"]


def test_a_file_of_ours_that_somebody_changed_is_kept_too(ground: Ground) -> None:
    faults.enable(ground, ground.hands())
    changed = ground.libraries / faults.RUNNER / "libggml-hip.so"
    changed.write_text("edited")
    outcome = ground.hands().take_out(now=True)
    assert outcome.kept == (str(changed),)
    assert changed.read_text() == "edited"


def test_what_is_in_the_way_and_not_ours_is_refused(ground: Ground) -> None:
    (ground.libraries / faults.RUNNER).mkdir()
    before = ground.snapshot()
    with pytest.raises(InvalidInputError, match="did not put it there"):
        faults.enable(ground, ground.hands())
    assert ground.snapshot() == before


def _recover_and_restore(ground: Ground) -> None:
    ground.hands().recover()
    faults.restore(ground, ground.hands())


@pytest.mark.parametrize("file", ["journal.json", "record.json"])
@pytest.mark.parametrize("how", ["cut", "edited", "nonsense", "retargeted"])
def test_a_tampered_journal_is_refused_and_nothing_is_done(ground: Ground, file: str, how: str) -> None:
    faults.enable(ground, ground.hands())
    hands = ground.hands()
    journal = hands.transactions.prepare("restore", (), None)
    assert journal.steps == ()
    place = ground.libraries.parent / FOLDER / file
    text = place.read_text()
    data = json.loads(text)
    tampered = {
        "cut": text[: len(text) // 2],
        "edited": text.replace('"schema"', '"schema" ', 1).replace("restore", "reapply").replace("RX 6600", "RX 6700"),
        "nonsense": "[]",
        "retargeted": json.dumps({"seal": data["seal"], "content": {**data["content"], "schema": 7}}),
    }[how]
    place.write_text(tampered)
    before = ground.snapshot()
    with pytest.raises(IntegrityError):
        _recover_and_restore(ground)
    assert ground.snapshot() == before


def test_a_record_from_before_a_field_was_added_is_read(ground: Ground) -> None:
    faults.enable(ground, ground.hands())
    place = ground.hands().transactions.state.record_file
    content = json.loads(place.read_text())["content"]
    del content["source"]
    seal = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
    place.write_text(json.dumps({"seal": seal, "content": content}))
    faults.restore(ground, ground.hands())
    assert not place.exists()


def test_a_journal_that_names_a_place_of_others_is_refused_whoever_sealed_it(ground: Ground) -> None:
    from buildtool.deploy.journal import Journal, Step

    victim = ground.root / "precious"
    victim.write_text("precious")
    hands = ground.hands()
    hands.transactions.locked().release()
    staged, backup = f"{victim}.gpubuild-1.new", f"{victim}.gpubuild-1.old"
    step = Step(target=str(victim), old="x", new="", staged=staged, backup=backup)
    hands.transactions.state.save_journal(Journal(id="1", purpose="enable", decided=True, steps=(step,), after=None))
    with pytest.raises(IntegrityError, match="does not change"):
        ground.hands().recover()
    assert victim.read_text() == "precious"


def test_two_at_a_time_are_one_too_many(ground: Ground) -> None:
    lock = ground.hands().transactions.locked()
    try:
        with pytest.raises(StorageError, match="Another gpubuild"):
            faults.enable(ground, ground.hands())
    finally:
        lock.release()


def test_a_folder_that_may_not_be_written_names_the_line_for_root(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != ground.libraries)
    monkeypatch.setattr("sys.argv", ["gpubuild", "ollama", "enable", "--yes"])
    before = ground.snapshot()
    with pytest.raises(StorageError) as caught:
        faults.enable(ground, ground.hands())
    assert caught.value.hint.startswith("sudo ")
    assert caught.value.hint.endswith("ollama enable --yes")
    assert ground.snapshot() == before


def test_after_an_upgrade_it_is_done_again_and_taken_out_of_the_new_one(ground: Ground) -> None:
    faults.enable(ground, ground.hands())
    faults.upgraded(ground)
    upgraded = {name: words for name, words in ground.snapshot().items() if "50-gpubuild" not in name}
    faults.reapply(ground, ground.hands())
    assert (ground.libraries / faults.RUNNER / "libggml-hip.so").is_file()
    faults.restore(ground, ground.hands())
    assert {**ground.snapshot(), "units/ollama.service.d": ""} == {**upgraded, "units/ollama.service.d": ""}


def test_nothing_to_take_out(ground: Ground) -> None:
    with pytest.raises(InvalidInputError, match="nothing of gpubuild's"):
        faults.restore(ground, ground.hands())
