"""The whole road with a real compiler on a small imitation of llama.cpp: what a user can do to it on the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.toolchain

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"


class Place:
    """A user's corner: a tree, a store, a cache, all with a space and a letter outside ASCII in their names."""

    def __init__(self, root: Path) -> None:
        self.tree = root / "mein Bäumchen" / "llama.cpp"
        shutil.copytree(MINI, self.tree)
        self.out = root / "ausgabe é"
        self.cache = root / "ca che ü"
        self.env = os.environ | {
            "GPUBUILD_STORE": str(root / "the störe"), "GPUBUILD_CACHE": str(self.cache), "GPUBUILD_DEVICES": "none"
        }  # fmt: skip

    def argv(self, *more: str) -> list[str]:
        start = [sys.executable, "-m", "buildtool", "compile", "--backend", "cpu", "--source", str(self.tree)]
        return [*start, "--out", str(self.out), *more]

    def compile(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*more), env=self.env, capture_output=True, text=True, check=False, timeout=300)

    def digest(self) -> str:
        files = sorted(path for path in self.tree.rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def result(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stdout + done.stderr
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


def test_a_local_tree_becomes_a_wheel_and_stays_as_it_was(place: Place) -> None:
    before = place.digest()
    wheels = result(place.compile("--json"))["wheels"]
    assert isinstance(wheels, list)
    assert place.digest() == before
    with zipfile.ZipFile(wheels[0]["path"]) as wheel:
        names = wheel.namelist()
    assert "gpubuild_llama/lib/llama-server" in names
    assert "gpubuild_llama/lib/libggml-base.so" in names, "libraries carry their plain names"
    assert not [name for name in names if name.endswith((".so.0", ".so.0.1.0"))]
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert wheels[0]["tag"].startswith("manylinux_2_")
    assert [path.name for path in place.out.iterdir()] == [Path(wheels[0]["path"]).name]


def test_programs_run_from_the_wheel_and_do_not_say_where_they_were_built(place: Place, tmp_path: Path) -> None:
    wheels = result(place.compile("--json"))["wheels"]
    assert isinstance(wheels, list)
    site = tmp_path / "site"
    with zipfile.ZipFile(wheels[0]["path"]) as wheel:
        wheel.extractall(site)
    program = site / "gpubuild_llama" / "lib" / "llama-server"
    program.chmod(0o755)
    said = subprocess.run([program], capture_output=True, text=True, check=True)
    assert said.stdout == "llama.cpp/src/base.cpp\n"


def test_nothing_changed_means_nothing_done_and_an_edit_means_only_that(place: Place) -> None:
    first = result(place.compile("--json"))
    again = result(place.compile("--json"))
    assert again["build"]["steps"] == 0  # type: ignore[index]
    assert again["wheels"] == first["wheels"]
    main = place.tree / "src" / "cpu.cpp"
    main.write_text(main.read_text() + "int one_more(void) { return 1; }\n")
    edited = result(place.compile("--json"))
    assert 1 <= edited["build"]["steps"] <= 12  # type: ignore[index]
    assert edited["wheels"][0]["sha256"] != first["wheels"][0]["sha256"]  # type: ignore[index]


def test_another_build_directory_finds_every_object_in_the_cache(place: Place, tmp_path: Path) -> None:
    """Other plans build elsewhere; sources that lie in the build directory count too."""
    first = result(place.compile("--json", "--build-dir", str(tmp_path / "one")))
    second = result(place.compile("--json", "--build-dir", os.path.relpath(tmp_path / "the second")))
    cold, warm = first["build"]["cache"], second["build"]["cache"]  # type: ignore[index]
    assert cold["launcher"] == "sccache"
    assert cold["misses"] >= 12
    assert (warm["misses"], warm["hits"]) == (0, cold["misses"] + cold["hits"])
    assert second["wheels"][0]["sha256"] == first["wheels"][0]["sha256"], "and nothing tells where it was built"  # type: ignore[index]


def test_a_build_directory_named_from_here_is_all_that_is_written(place: Place, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "bauen ü").mkdir(parents=True)

    def compile_at(folder: Path, name: str) -> dict[str, object]:
        argv = place.argv("--json", "--build-dir", name)
        return result(subprocess.run(argv, env=place.env, cwd=folder, capture_output=True, text=True, check=False))

    first = compile_at(here, "bauen ü/build")
    assert first["build"]["path"] == str(here / "bauen ü" / "build")  # type: ignore[index]
    assert first["build"]["cache"]["misses"] >= 12, "the compiler cache is reached from wherever a step starts"  # type: ignore[index]
    assert [path.name for path in here.iterdir()] == ["bauen ü"]
    assert [path.name for path in (here / "bauen ü").iterdir()] == ["build"]
    assert compile_at(here / "bauen ü" / "build", ".")["build"]["steps"] == 0  # type: ignore[index]


def test_a_compile_error_shows_the_compilers_words_and_leaves_no_wheel(place: Place) -> None:
    (place.tree / "src" / "cpu.cpp").write_text("int broken( { }\n")
    done = place.compile()
    assert done.returncode == 9
    assert "Compiling ggml-cpu" in done.stderr or "cpu.cpp.o failed" in done.stderr
    assert "error: expected" in done.stderr
    assert "gpubuild.log" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(place.out.glob("*"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_build_leaves_no_process_and_goes_on(place: Place, number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it
    running = subprocess.Popen(
        place.argv("--no-cache", "--jobs", "1"), env=place.env, stderr=subprocess.PIPE, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(place.cache.glob("build/*/CMakeFiles/common.dir/slow*.o")):
        time.sleep(0.05)
    built = {path.name for path in place.cache.glob("build/*/CMakeFiles/common.dir/slow*.o")}
    assert built
    if number is signal.SIGKILL:
        subprocess.run(["pkill", "-KILL", "-f", str(place.cache)], check=False)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(20)
    else:
        os.kill(running.pid, number)
        assert running.wait(20) == 128 + number
        found = subprocess.run(["pgrep", "-f", str(place.cache)], capture_output=True, text=True, check=False)
        assert not found.stdout.strip(), "every compiler must be gone"
    if running.stderr is not None:
        assert b"Traceback" not in running.stderr.read()
        running.stderr.close()
    assert not list(place.out.glob("*.whl"))
    resumed = result(place.compile("--no-cache", "--json"))
    assert len(list(place.out.glob("*.whl"))) == 1
    assert 0 < int(str(resumed["build"]["steps"])) < 25  # type: ignore[index]


def test_two_compiles_at_once_share_the_work(place: Place) -> None:
    both = [
        subprocess.Popen(place.argv("--json"), env=place.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [(process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for _, code in results] == [0, 0], [text for text, _ in results]
    steps = sorted(json.loads(text[0])["build"]["steps"] for text, _ in results)
    assert steps[0] == 0, "the second waited for the first and found everything done"


def test_no_compiler_names_the_package_that_brings_one(place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    place.env["PATH"] = str(empty)
    place.env.pop("CXX", None)
    done = place.compile()
    assert done.returncode == 5
    assert "try:" in done.stderr


def test_an_unwritable_output_is_found_before_the_work(place: Place) -> None:
    place.out.write_text("a file in the way")
    done = place.compile()
    assert done.returncode == 10
    assert not (place.cache / "build").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a small file system needs root")
def test_a_disk_that_fills_up_is_called_that_and_a_second_run_completes(place: Place) -> None:
    small = place.cache
    small.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = place.compile("--no-cache")
        assert done.returncode == 10, done.stderr
        assert "space" in done.stderr
        assert not list(place.out.glob("*"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    result(place.compile("--no-cache", "--json"))
