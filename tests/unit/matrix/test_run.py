"""Jobs run with a stand-in for the compiler: what is remembered, what goes on, what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildtool.errors import BuildError, GpubuildError, InvalidInputError, StorageError, VerificationError
from buildtool.matrix import Job, Matrix, Wish, here, sites, solve
from buildtool.matrix.ci import Ci
from buildtool.matrix.run import COMPILE, Cost, run
from buildtool.matrix.write import write

FAKE = """
import json, pathlib, sys, time
sys.path.insert(0, {samples!r})
from index_samples import make_wheel
sys.path.insert(0, {root!r})
from buildtool.compat.lock import load_lock
place = pathlib.Path({place!r})
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
plan = load_lock(pathlib.Path(arguments["--lock"]))
with (place / "calls").open("a") as calls:
    calls.write(plan.backend + "\\n")
if (place / ("fail-" + plan.backend)).exists():
    sys.exit("it fails")
while (place / ("hang-" + plan.backend)).exists():
    time.sleep(0.05)
for wheel in plan.wheels:
    make_wheel(pathlib.Path(arguments["--out"]), wheel.distribution, wheel.version, targets=plan.targets)
print("sccache: 3 hits, 2 misses (hits C/C++ 3)")
"""


class Quiet:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.costs: dict[str, bool] = {}
        self.failures: list[str] = []

    def job(self, number: int, total: int, job: Job) -> None:
        pass

    def line(self, text: str) -> None:
        pass

    def done(self, cost: Cost, *, before: bool) -> None:
        self.costs[cost.job] = before

    def failed(self, job: Job, error: GpubuildError) -> None:
        self.failures.append(f"{job.name}: {error.what}")


@pytest.fixture
def fake(tmp_path: Path) -> tuple[str, ...]:
    script = tmp_path / "fake.py"
    samples, root = str(Path(__file__).parents[1] / "index"), str(Path(__file__).parents[3])
    script.write_text(FAKE.format(samples=samples, root=root, place=str(tmp_path)))
    return (sys.executable, str(script))


@pytest.fixture
def matrix() -> Matrix:
    return solve(
        Wish(cards=(("cpu", 1.0), ("vulkan", 1.0)), systems=("here",)), (here(sites(("debian-12-x86_64",))[0].host),)
    )


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().split()


def test_every_job_runs_once_and_ends_in_an_index(tmp_path: Path, fake: tuple[str, ...], matrix: Matrix) -> None:
    told = Quiet()
    ran = run(matrix, tmp_path / "m", told, compile_argv=fake)
    assert (ran.before, told.failures, calls(tmp_path)) == (0, [], ["cpu", "vulkan"])
    assert [(cost.hits, cost.misses, len(cost.wheels)) for cost in ran.costs] == [(3, 2, 1), (3, 2, 1)]
    assert [wheel.family for wheel in ran.index.catalogue.wheels] == ["cpu", "vulkan"]
    assert (tmp_path / "m" / "index" / "vulkan" / "index.html").is_file()
    again = run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert (again.before, again.index.written, calls(tmp_path)) == (2, 0, ["cpu", "vulkan"])


def test_a_failed_job_does_not_stop_the_others_and_is_tried_again(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix
) -> None:
    (tmp_path / "fail-cpu").touch()
    told = Quiet()
    with pytest.raises(BuildError, match="1 of 2 jobs failed"):
        run(matrix, tmp_path / "m", told, compile_argv=fake)
    assert list(told.costs) == ["linux-x86_64-vulkan"]
    assert not (tmp_path / "m" / "index").exists()
    assert "it fails" in (tmp_path / "m" / "logs" / "linux-x86_64-cpu.log").read_text()
    (tmp_path / "fail-cpu").unlink()
    assert run(matrix, tmp_path / "m", Quiet(), compile_argv=fake).before == 1
    assert calls(tmp_path) == ["cpu", "vulkan", "cpu"]


def test_a_run_that_was_killed_goes_on_with_the_job_it_was_at(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix
) -> None:
    (tmp_path / "hang-vulkan").touch()
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from pathlib import Path\n"
        "from test_run import Quiet\n"
        "from buildtool.matrix import Wish, here, sites, solve\n"
        "from buildtool.matrix.run import run\n"
        "site = here(sites(('debian-12-x86_64',))[0].host)\n"
        "matrix = solve(Wish(cards=(('cpu', 1.0), ('vulkan', 1.0)), systems=('here',)), (site,))\n"
        f"run(matrix, Path({str(tmp_path / 'm')!r}), Quiet(), compile_argv={fake!r})\n"
    )
    running = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60
    while not ((tmp_path / "calls").exists() and "vulkan" in calls(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(StorageError, match="Another gpubuild matrix run"):
        run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (tmp_path / "hang-vulkan").unlink()
    ran = run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert ran.before == 1
    assert calls(tmp_path) == ["cpu", "vulkan", "vulkan"]
    assert sorted(path.name for path in (tmp_path / "m" / "jobs").iterdir() if not path.name.startswith(".")) == [
        "linux-x86_64-cpu", "linux-x86_64-vulkan",
    ]  # fmt: skip


def test_a_changed_wheel_or_a_damaged_state_means_building_again(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix
) -> None:
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    wheel = next((tmp_path / "m" / "jobs" / "linux-x86_64-cpu").glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    assert run(matrix, tmp_path / "m", Quiet(), compile_argv=fake).before == 1
    for content in (b"{", json.dumps({"schema": 1, "done": 3}).encode(), b'{"spent": {"\xff": 1}}'):
        (tmp_path / "m" / "state.json").write_bytes(content)
        assert run(matrix, tmp_path / "m", Quiet(), compile_argv=fake).before == 0


def test_wheels_without_the_promised_code_are_not_indexed(tmp_path: Path, fake: tuple[str, ...]) -> None:
    wish = Wish(cards=(("H100", 1.0),), systems=("here",))
    matrix = solve(wish, (here(sites(("debian-12-x86_64",))[0].host),))
    with pytest.raises(VerificationError, match="not what the jobs promised"):
        run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert not (tmp_path / "m" / "index").exists()


def test_jobs_of_an_earlier_matrix_are_not_published(tmp_path: Path, fake: tuple[str, ...], matrix: Matrix) -> None:
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    alone = solve(Wish(cards=(("cpu", 1.0),), systems=("here",)), (here(sites(("debian-12-x86_64",))[0].host),))
    ran = run(alone, tmp_path / "m", Quiet(), compile_argv=fake)
    assert [wheel.family for wheel in ran.index.catalogue.wheels] == ["cpu"]
    assert len(list((tmp_path / "m" / "index").glob("*.whl"))) == 1
    assert not (tmp_path / "m" / "index" / "vulkan").exists()


def vulkan_alone() -> Matrix:
    return solve(Wish(cards=(("vulkan", 1.0),), systems=("here",)), (here(sites(("debian-12-x86_64",))[0].host),))


def test_the_runtime_is_handed_over_by_another_job_when_the_matrix_changes(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix
) -> None:
    """Which job hands it over is in no plan: one that is done for its plan may lack it, or have it unasked."""
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    alone = run(vulkan_alone(), tmp_path / "m", Quiet(), compile_argv=fake)
    assert {wheel.family for wheel in alone.index.catalogue.wheels} == {"cpu", "vulkan"}
    both = run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert [len(cost.wheels) for cost in both.costs] == [1, 1]


@pytest.mark.parametrize("name", ["jobs", "locks", "index", "state.json"])
def test_a_folder_of_somebody_elses_is_left_alone(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix, name: str
) -> None:
    theirs = tmp_path / "m" / name / "important.lock"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(InvalidInputError, match="no earlier run"):
        run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert theirs.read_text() == "mine"


def test_the_locks_of_a_ci_provider_are_not_replaced(tmp_path: Path, fake: tuple[str, ...], matrix: Matrix) -> None:
    for_ci = solve(Wish(cards=(("vulkan", 1.0),)), sites(("linux-x86_64",)))
    written = write(for_ci, "gitlab", Ci(), tmp_path)
    before = [path.read_bytes() for path in written]
    with pytest.raises(InvalidInputError, match="CI provider"):
        run(matrix, tmp_path / Ci().folder, Quiet(), compile_argv=fake)
    assert [path.read_bytes() for path in written] == before


@pytest.mark.parametrize("what", ["PACKAGE", "recipe_directory"])
def test_another_gpubuild_or_recipe_makes_another_wheel_of_the_same_plan(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    changing = tmp_path / "changing"
    changing.mkdir()
    (changing / "gpubuild.cmake").write_text("one")
    stand_in = changing if what == "PACKAGE" else lambda _name: changing
    monkeypatch.setattr(f"buildtool.matrix.run.{what}", stand_in)
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert run(matrix, tmp_path / "m", Quiet(), compile_argv=fake).before == 2
    (changing / "gpubuild.cmake").write_text("two")
    assert run(matrix, tmp_path / "m", Quiet(), compile_argv=fake).before == 0


def test_what_lies_among_the_jobs_goes_and_what_a_link_leads_to_stays(
    tmp_path: Path, fake: tuple[str, ...], matrix: Matrix
) -> None:
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "mine").touch()
    (tmp_path / "m" / "jobs" / "link").symlink_to(private)
    (tmp_path / "m" / "jobs" / ".DS_Store").touch()
    run(matrix, tmp_path / "m", Quiet(), compile_argv=fake)
    assert sorted(path.name for path in (tmp_path / "m" / "jobs").iterdir()) == [job.name for job in matrix.jobs]
    assert (private / "mine").exists()
    assert private.stat().st_mode & 0o777 == 0o700


def test_jobs_are_compiled_by_this_gpubuild_wherever_the_user_stands(tmp_path: Path) -> None:
    (tmp_path / "buildtool").mkdir()
    (tmp_path / "buildtool" / "__init__.py").write_text("raise SystemExit('somebody else')")
    said = subprocess.run([*COMPILE, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
