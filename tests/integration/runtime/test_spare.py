"""A library that does without another one, under the machine's real loader: bound lazily, at once, and by dlopen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.runtime.closure import needed
from buildtool.runtime.spare import can_spare, spare

pytestmark = pytest.mark.toolchain

SOLVER = 'extern "C" int Z3_solve(int n) { return n + 1; }'
COMPILER = """
extern "C" int Z3_solve(int);
extern "C" int compile_it(int n) { return 2 * n; }
extern "C" int analyse_it(int n) { return Z3_solve(n); }
"""
CALL = "import ctypes, sys; print(getattr(ctypes.CDLL(sys.argv[1], mode=int(sys.argv[3])), sys.argv[2])(4))"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A compiler that needs a solver, both real; the solver's place is known to the compiler."""
    (tmp_path / "solver.cpp").write_text(SOLVER)
    (tmp_path / "compiler.cpp").write_text(COMPILER)
    solver, compiler = tmp_path / "libz3.so.4", tmp_path / "libLLVM.so.21.1"
    link = ["g++", "-shared", "-fPIC", "-O1"]
    subprocess.run([*link, f"-Wl,-soname,{solver.name}", "-o", solver, tmp_path / "solver.cpp"], check=True)
    more = [f"-Wl,-soname,{compiler.name}", "-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy", "-fno-builtin"]
    subprocess.run([*link, *more, "-o", compiler, tmp_path / "compiler.cpp", solver], check=True)
    return compiler, solver


def call(
    library: Path, function: str, *, now: bool = False, mode: int = os.RTLD_LAZY
) -> subprocess.CompletedProcess[str]:
    env = os.environ | ({"LD_BIND_NOW": "1"} if now else {})
    argv = [sys.executable, "-c", CALL, str(library), function, str(mode)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


@pytest.mark.parametrize("now", [True, False])
@pytest.mark.parametrize("mode", [os.RTLD_LAZY, os.RTLD_NOW | os.RTLD_GLOBAL])
def test_it_loads_and_works_without_the_other_however_it_is_bound(
    pair: tuple[Path, Path], mode: int, *, now: bool
) -> None:
    compiler, solver = pair
    assert can_spare(compiler, solver.name, solver, ["Z3_*"])
    record = spare(compiler, {solver.name: solver})
    assert record.symbols == ("Z3_solve",)
    solver.rename(solver.with_name("gone"))
    assert solver.name not in needed(compiler)
    assert call(compiler, "compile_it", now=now, mode=mode).stdout == "8\n"
    asked = call(compiler, "analyse_it", now=now, mode=mode)
    assert asked.returncode == -signal.SIGSEGV, "what is not there cannot be called, and says so at once"


def test_without_the_change_of_the_symbols_the_loader_would_refuse_it(pair: tuple[Path, Path]) -> None:
    compiler, solver = pair
    record = spare(compiler, {solver.name: solver})
    data = bytearray(compiler.read_bytes())
    for change in record.file.changes:
        if change.what == "weak symbol":
            data[change.offset : change.offset + 1] = change.before
    compiler.write_bytes(data)
    solver.rename(solver.with_name("gone"))
    refused = call(compiler, "compile_it", now=True)
    assert refused.returncode != 0
    assert "undefined symbol" in refused.stderr


def test_where_the_other_is_loaded_anyway_it_is_used(pair: tuple[Path, Path]) -> None:
    compiler, solver = pair
    spare(compiler, {solver.name: solver})
    both = "import ctypes, sys; ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL); "
    both += "print(ctypes.CDLL(sys.argv[2]).analyse_it(4))"
    done = subprocess.run([sys.executable, "-c", both, solver, compiler], capture_output=True, text=True, check=False)
    assert done.stdout == "5\n", done.stderr
