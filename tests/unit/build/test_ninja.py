"""Reading Ninja: steps, failures, costs."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path

import ninja as ninja_wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.build.costs import CostBook, default_cost, parse_ninja_log
from buildtool.build.door import Door
from buildtool.build.ninja import (
    BEFORE_LINES,
    ERROR_LINES,
    FAILURE_LINES,
    _Counter,
    build,
    parse_failure,
    parse_step,
    pending,
)
from buildtool.compat.recipes import recipe_directory
from buildtool.errors import BuildError, StorageError

NINJA = str(Path(ninja_wheel.BIN_DIR) / "ninja")
FAILURE = """\
[1/3] Building CXX object a.o
a.cpp:1:2: warning: unused
[2/3] Building CUDA object b.cu.o
FAILED: [code=2] b.cu.o
/opt/nvcc -c b.cu -o b.cu.o
In file included from b.cu:1:
b.cu(3): error: identifier "foo" is undefined
1 error detected in the compilation of "b.cu".
ninja: build stopped: subcommand failed.
""".splitlines()


def test_a_step_is_read() -> None:
    line = "[3/615] Building CUDA object ggml/src/x.cu.o"
    assert parse_step(line) == (3, 615, "Building CUDA object ggml/src/x.cu.o")
    assert parse_step("ninja: no work to do.") is None


def test_a_failure_is_reduced_to_target_command_and_message() -> None:
    failure = parse_failure(FAILURE)
    assert failure is not None
    assert failure.output == "b.cu.o"
    assert failure.command == "/opt/nvcc -c b.cu -o b.cu.o"
    assert failure.lines[1] == 'b.cu(3): error: identifier "foo" is undefined'
    assert parse_failure(["[1/1] fine"]) is None


@given(st.lists(st.text(), max_size=30))
def test_no_text_breaks_the_readers(lines: list[str]) -> None:
    parse_failure(lines)
    parse_ninja_log("\n".join(lines))
    for line in lines:
        parse_step(line)
        assert default_cost(line) > 0


def test_the_log_gives_seconds_and_the_last_entry_wins() -> None:
    text = "# ninja log v7\n0\t1500\t1\ta.o\tff\n0\t900\t1\ta.o\tff\n5\t2\t1\tbad.o\tff\nrubbish\n"
    assert parse_ninja_log(text) == {"a.o": 0.9}


def test_a_cost_book_learns_keeps_and_survives_damage(tmp_path: Path) -> None:
    path, shipped = tmp_path / "book.json", tmp_path / "shipped.json"
    shipped.write_text('{"dir/slow.cu.o": 100, "dir/quick.cu.o": 1, "dir/x.cpp.o": 200}')
    book = CostBook(path, shipped)
    assert book.cost("Building CUDA object dir/slow.cu.o") == 100
    assert book.cost("Building CUDA object dir/new.cu.o") == default_cost("Building CUDA object x")
    assert book.slowest("dir/", ".cu", 5) == ("slow.cu", "quick.cu")
    book.learn({"dir/quick.cu.o": 400.0, "dir/slow.cu.o": 0.1})
    again = CostBook(path, shipped)
    assert again.cost("Building CUDA object dir/quick.cu.o") == 400
    assert again.cost("Building CUDA object dir/slow.cu.o") == 95, "a cached step must not look cheap"
    assert again.slowest("dir/", ".cu", 1) == ("slow.cu",), "the order comes from the shipped book alone"
    path.write_text("{broken")
    assert CostBook(path, shipped).cost("Building CUDA object dir/slow.cu.o") == 100


def test_the_shipped_book_names_steps_as_every_machine_does() -> None:
    shipped = json.loads((recipe_directory("llama.cpp") / "costs.json").read_text())
    assert not [step for step in shipped if step.startswith("/") or "site-packages" in step]
    assert all(isinstance(seconds, float) and seconds > 0 for seconds in shipped.values())
    book = CostBook(Path("none"), recipe_directory("llama.cpp") / "costs.json")
    heavy = book.slowest("ggml/src/ggml-cuda/", ".cu", 20)
    assert len(heavy) == 20
    assert any("fattn" in name for name in heavy), "attention kernels are the slowest to compile"
    hip = "Building HIP object ggml/src/ggml-hip/CMakeFiles/ggml-hip.dir/__/ggml-cuda/mmvf.cu.o"
    assert book.cost(hip) != default_cost(hip)
    assert book.cost("Generate vulkan shaders for mul_mm.comp") > 20, "by far the slowest shader"
    assert len({book.cost(f"Generate vulkan shaders for {name}.comp") for name in ("add", "acc", "mul_mat_vec")}) > 1
    assert book.cost("Generate vulkan shaders for nobody_knows.comp") == default_cost("Generate x")


def test_the_order_of_slow_files_does_not_depend_on_another_backends_costs(tmp_path: Path) -> None:
    """It is the link order: a wheel would come out with other bytes."""
    path = tmp_path / "book.json"
    path.write_text('{"cuda/a.cu.o": 2, "cuda/b.cu.o": 1, "hip/b.cu.o": 100, "hip/c.cu.o": 50}')
    assert CostBook(tmp_path / "own", path).slowest("cuda/", ".cu", 5) == ("a.cu", "b.cu")


class Seen:
    """Records what a build reports."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def start(self, steps: int, cost: float, jobs: int) -> None:
        self.events.append(("start", steps, cost, jobs))

    def step(self, done: int, steps: int, cost_done: float, description: str) -> None:
        self.events.append(("step", done, steps, cost_done, description))

    def finish(self) -> None:
        self.events.append(("finish",))

    def note(self, text: str) -> None:
        self.events.append(("note", text))


def write_build(folder: Path, *, fails: bool = False, says: str = "error: no") -> None:
    """Write three steps, one after the other; the last one fails, or copies."""
    copy = f"\"{sys.executable}\" -c \"import shutil; shutil.copy('$in', '$out')\""
    bad = f'"{sys.executable}" -c "print(\'{says}\'); raise SystemExit(1)"'
    if not (folder / "in.txt").exists():
        (folder / "in.txt").write_text("x")
    (folder / "build.ninja").write_text(
        f"rule copy\n  command = {copy}\n  description = Building C object $out\n"
        f"rule bad\n  command = {bad}\n  description = Building C object $out\n"
        "build a.o: copy in.txt\nbuild b.o: copy a.o\n" + ("build c.o: bad b.o\n" if fails else "build c.o: copy b.o\n")
    )


def drive(folder: Path, seen: Seen | None = None, book: Path | None = None) -> int:
    env = {"PATH": str(Path(shutil.which("sh") or "/bin/sh").parent)}
    door = Door(env=env)
    steps = pending(NINJA, folder, ("c.o",), door)
    costs = CostBook(book or folder / "book.json", folder / "none.json")
    log = (folder / "log").open("a")
    with log:
        return build(
            NINJA, folder, ("c.o",), steps=steps, jobs=2, door=door, log=log, book=costs, progress=seen
        )  # fmt: skip


def test_a_build_reports_every_step_and_has_nothing_left(tmp_path: Path) -> None:
    write_build(tmp_path)
    seen = Seen()
    assert drive(tmp_path, seen) == 3
    assert seen.events[0][:2] == ("start", 3)
    assert [event[1] for event in seen.events if event[0] == "step"] == [1, 2, 3]
    assert seen.events[-1] == ("finish",)
    assert pending(NINJA, tmp_path, ("c.o",), Door(env={})) == []
    assert (tmp_path / "book.json").is_file()


def test_a_link_that_fails_tells_what_is_missing_and_not_every_object(tmp_path: Path) -> None:
    objects = " ".join(f"{n}.o" for n in range(2000))
    (tmp_path / "build.ninja").write_text(
        'rule link\n  command = printf \'%s\\n\' "x.o: in function a" "x.o: undefined reference to b" '
        f'"collect2: error: ld returned 1 exit status"; exit 1 # {objects}\n  description = Linking $out\n'
        "build c.o: link\n"
    )
    with pytest.raises(BuildError) as caught:
        drive(tmp_path)
    assert caught.value.details == ("x.o: undefined reference to b", "collect2: error: ld returned 1 exit status")
    assert len(caught.value.why or "") < 2200
    assert "whole in the log" in (caught.value.why or "")


def test_a_failed_step_names_itself_and_a_later_run_resumes(tmp_path: Path) -> None:
    write_build(tmp_path, fails=True)
    with pytest.raises(BuildError) as caught:
        drive(tmp_path)
    assert caught.value.what == "Compiling c.o failed."
    assert caught.value.details == ("error: no",)
    write_build(tmp_path)
    assert pending(NINJA, tmp_path, ("c.o",), Door(env={})) == ["Building C object c.o"]
    assert drive(tmp_path) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_costs_that_cannot_be_kept_change_nothing_about_a_build(tmp_path: Path, *, fails: bool) -> None:
    write_build(tmp_path, fails=fails)
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=r"Compiling c\.o failed") if fails else contextlib.nullcontext():
        assert drive(tmp_path, book=tmp_path / "file" / "book.json") == 3


def test_a_full_disk_is_called_a_full_disk(tmp_path: Path) -> None:
    write_build(tmp_path, fails=True, says="fatal error: x.o: No space left on device")
    with pytest.raises(StorageError, match="disk filled up"):
        drive(tmp_path)


def test_a_compiler_that_says_very_much_is_still_named(tmp_path: Path) -> None:
    """Its words were forgotten when another step ended after them."""
    flood = f"\"{sys.executable}\" -c \"print('x.c: error: first'); [print('note') for _ in range(5000)]; exit(1)\""
    slow = f"\"{sys.executable}\" -c \"import time; time.sleep(1.5); open('$out', 'w')\""
    (tmp_path / "build.ninja").write_text(
        f"rule flood\n  command = {flood}\n  description = Building C object $out\n"
        f"rule slow\n  command = {slow}\n  description = Building C object $out\n"
        "build a.o: flood\nbuild b.o: slow\nbuild c.o: phony a.o b.o\n"
    )
    with pytest.raises(BuildError) as caught:
        drive(tmp_path)
    assert caught.value.what == "Compiling a.o failed."
    assert caught.value.details[0] == "x.c: error: first"
    assert len(caught.value.details) == ERROR_LINES


def test_warnings_without_end_take_bounded_memory() -> None:
    counter = _Counter(CostBook(Path("none"), Path("none")), None)
    for _ in range(3 * BEFORE_LINES):
        counter.line("warning: again")
    assert len(counter.lines) == BEFORE_LINES
    counter.line("FAILED: a.o")
    for _ in range(3 * FAILURE_LINES):
        counter.line("error: again")
    assert len(counter.lines) == FAILURE_LINES
    assert counter.lines[0] == "FAILED: a.o"


def test_the_failure_reader_stops_at_the_next_step() -> None:
    lines = [*FAILURE[:-1], "[3/3] Building C object d.o", "noise"]
    failure = parse_failure(lines)
    assert failure is not None
    assert "noise" not in failure.lines
    assert io.StringIO("\n".join(failure.lines)).read().count("error") == 2


def test_a_project_that_looks_for_new_files_at_every_build_still_tells_its_steps(tmp_path: Path) -> None:
    """As CMake writes it for CONFIGURE_DEPENDS: the build file hangs on a step that is never done."""
    write_build(tmp_path)
    build_file = tmp_path / "build.ninja"
    build_file.write_text(
        build_file.read_text()
        + "rule glob\n  command = true\n  description = Re-checking globbed directories...\n  restat = 1\n"
        "rule again\n  command = true\n  description = Re-running CMake...\n  generator = 1\n"
        "build always: phony\nbuild globs: glob always\nbuild build.ninja: again | globs\n"
    )
    steps = pending(NINJA, tmp_path, ("c.o",), Door(env={}))
    assert [step for step in steps if step.startswith("Building")] == [
        f"Building C object {name}" for name in ("a.o", "b.o", "c.o")
    ]
