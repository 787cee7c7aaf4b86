"""Compiler caches: chosen only after a trial compile proved them on the compilers of this build.

sccache splits nvcc into one step per target and caches each, so adding a target compiles only that target's
device code; with nvcc 13.5 it breaks the build (facts measured 2026-11, docs/build.md). ccache caches whole
translation units. A launcher that fails the trial is left out, never trusted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from buildtool.compat.model import Plan
from buildtool.errors import GpubuildError
from buildtool.process import TAIL_LINES, failure, run, run_detached
from buildtool.source.model import SourceTree
from buildtool.store.placing import write_whole
from buildtool.toolchain.model import Toolchain

TRIAL = 2  # part of every record: a changed trial is run again
TRIAL_TIMEOUT_S = 120.0
CACHE_SIZE = "10G"
ARCHITECTURES = {"cuda": "CMAKE_CUDA_ARCHITECTURES", "rocm": "GPU_TARGETS"}
UNIX_SOCKET_LIMIT = 100  # bytes; sockaddr_un.sun_path holds 108 on Linux, 104 on macOS

_CXX = "int gpubuild_trial(int a) { return a + 1; }\n"
_CUDA = (
    "__global__ void gpubuild_kernel(float *a) { a[threadIdx.x] += 1.0f; }\n"
    "void gpubuild_trial(float *a) { gpubuild_kernel<<<1, 32>>>(a); }\n"
)
# Language to file name, content and flags, as CMake compiles it.
_TRIALS = {
    "CXX": ("trial.cpp", _CXX, ("-O2", "-fPIC")),
    "CUDA": (
        "trial.cu", _CUDA, ("-O3", "-forward-unknown-to-host-compiler", "-Xcompiler=-fPIC", "-use_fast_math"),
    ),
    "HIP": ("trial.hip", "#include <hip/hip_runtime.h>\n" + _CUDA, ("-x", "hip", "-O3", "-fPIC")),
}  # fmt: skip


class Launcher(msgspec.Struct, frozen=True, kw_only=True):
    """A compiler cache that works here: its program and the environment it runs in."""

    name: str
    program: str
    env: dict[str, str]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The launcher that was proved, if any, and why those preferred to it were not taken.

    Attributes:
        launcher: the first that compiled.
        rejected: the others before it, each with its reason.
        settled: whether it would come out so again; a trial that was killed or ran out of time or space says nothing.
    """

    launcher: Launcher | None
    rejected: tuple[str, ...]
    settled: bool = True


class _UnsettledError(GpubuildError):
    """A trial that came to no end of its own."""


def choose(
    candidates: tuple[str, ...],
    toolchain: Toolchain,
    *,
    compilers: dict[str, str],
    architectures: str,
    includes: tuple[str, ...] = (),
    cache_dir: Path,
) -> Verdict:
    """Return the first launcher that survives a trial compile, and why others did not.

    Args:
        candidates: names in order of preference (``sccache``, ``ccache``).
        toolchain: whose environment the compilers need.
        compilers: language (``CXX``, ``CUDA``, ``HIP``) to compiler path.
        architectures: the plan's ``CMAKE_CUDA_ARCHITECTURES`` or ``GPU_TARGETS``, "" without.
        includes: folders of the build, so that a space or an odd letter in their names is part of the trial.
        cache_dir: where the launchers keep their caches; the trial runs there.
    """
    rejected: list[str] = []
    settled = True
    for name in candidates:
        program = _find(name, toolchain)
        if program is None:
            rejected.append(f"{name}: not installed")
            continue
        launcher = Launcher(name=name, program=program, env=_environment(name, cache_dir))
        try:
            start(launcher)
            _trial(launcher, toolchain, _commands(compilers, architectures, includes), cache_dir)
        except (GpubuildError, OSError) as error:
            settled = settled and not isinstance(error, _UnsettledError | OSError)
            rejected.append(f"{name}: the trial compile failed ({error})")
            continue
        return Verdict(launcher=launcher, rejected=tuple(rejected), settled=settled)
    return Verdict(launcher=None, rejected=tuple(rejected), settled=settled)


def proved_launcher(plan: Plan, toolchain: Toolchain, source: SourceTree, cache: Path) -> Verdict:
    """Find the launcher for a plan; the trial runs once per launcher, compiler, target list and source folder."""
    compilers = {"CXX": plan.host_compiler.cxx}
    architectures = plan.cmake_options.get(ARCHITECTURES.get(plan.backend, ""), "")
    for language in ("CUDA", "HIP"):
        if compiler := toolchain.cmake_options.get(f"CMAKE_{language}_COMPILER"):
            compilers[language] = compiler
    found = (_find(name, toolchain) for name in plan.launchers)
    stamps = [_stamp(path, toolchain) for path in (*found, *compilers.values()) if path is not None]
    places = [str(cache), source.path]
    identity = json.dumps([TRIAL, plan.launchers, stamps, architectures, places, toolchain.env], sort_keys=True)
    record = cache / "launchers" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    with FileLock(record.with_suffix(".lock")):  # two trials at once would race for the server, and could differ
        try:
            return msgspec.json.decode(record.read_bytes(), type=Verdict)
        except (OSError, ValueError):
            verdict = choose(
                plan.launchers, toolchain, compilers=compilers, architectures=architectures,
                includes=(source.path,), cache_dir=cache,
            )  # fmt: skip
        if verdict.settled:
            write_whole(record, msgspec.json.encode(verdict))
    return verdict


def _stamp(path: str, toolchain: Toolchain) -> tuple[str, ...]:
    """Return what changes when a program does; another place never changes."""
    if toolchain.sandbox is not None:
        return (toolchain.sandbox.place, path)
    found = Path(path).stat()
    return (path, str(found.st_mtime_ns), str(found.st_size))


def for_build(launcher: Launcher, build_dir: Path) -> Launcher:
    """Return the launcher for one build directory, whose name must not part equal objects of several builds.

    CMake's unity sources lie there, so their preprocessed text names it; sccache leaves the names of its base
    directories out of the key. They are the server's, so each build directory has its own server over the one cache.
    """
    if launcher.name != "sccache":
        return launcher
    own = {"SCCACHE_BASEDIRS": str(build_dir), "SCCACHE_SERVER_UDS": str(_socket(build_dir))}
    return msgspec.structs.replace(launcher, env=launcher.env | own)


def start(launcher: Launcher) -> None:
    """Start the launcher's server, if it has one, before parallel compiles race to do so."""
    if launcher.name != "sccache":
        return
    # A non-zero code means that one is running already; a server that is not there fails the trial.
    run_detached([launcher.program, "--start-server"], env={**os.environ, **launcher.env})


def stop(launcher: Launcher) -> None:
    """Stop the launcher's server, if it has one; nothing happens when none runs."""
    if launcher.name == "sccache":
        with contextlib.suppress(GpubuildError):
            run_detached([launcher.program, "--stop-server"], env={**os.environ, **launcher.env})


def _find(name: str, toolchain: Toolchain) -> str | None:
    if toolchain.sandbox is not None:
        # sccache's server would run the compilers outside.
        inside = f"/usr/bin/{name}"
        return inside if name == "ccache" and toolchain.sandbox.has(inside) else None
    beside = Path(sys.executable).parent / name
    if beside.is_file() and os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which(name)


def _environment(name: str, cache_dir: Path) -> dict[str, str]:
    directory = cache_dir / name
    directory.mkdir(parents=True, exist_ok=True)
    if name == "ccache":
        return {"CCACHE_DIR": str(directory), "CCACHE_MAXSIZE": CACHE_SIZE, "CCACHE_NOHASHDIR": "1"}
    return {
        "SCCACHE_DIR": str(directory),
        "SCCACHE_CACHE_SIZE": CACHE_SIZE,
        "SCCACHE_SERVER_UDS": str(_socket(directory)),
        "SCCACHE_IDLE_TIMEOUT": "600",
    }


def _socket(directory: Path) -> Path:
    """Return a socket path that fits the kernel's bound, private to this user."""
    inside = directory / "server.sock"
    if len(os.fsencode(inside)) <= UNIX_SOCKET_LIMIT or sys.platform == "win32":
        return inside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"gpubuild-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        message = f"{private} belongs to another user."
        raise OSError(message)
    return private / f"{digest}.sock"


def _commands(
    compilers: dict[str, str], architectures: str, includes: tuple[str, ...]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each language with its compiler and flags, as CMake gives them."""
    for language, compiler in compilers.items():
        words = [*_TRIALS[language][2], *_target_flags(language, architectures, compilers["CXX"])]
        yield language, [compiler, *words, *(f"-I{folder}" for folder in includes)]


def _trial(
    launcher: Launcher, toolchain: Toolchain, commands: Iterable[tuple[str, list[str]]], cache_dir: Path
) -> None:
    """Compile a small file twice per language and check that objects come out."""
    added = {**toolchain.env, **launcher.env}
    sandbox = toolchain.sandbox
    env = sandbox.environment(added) if sandbox is not None else {**os.environ, **added}
    with tempfile.TemporaryDirectory(prefix="gpubuild-trial-", dir=cache_dir) as name:
        folder = Path(name)
        for language, command in commands:
            filename, text, _ = _TRIALS[language]
            source = folder / filename
            source.write_text(text)
            for turn in range(2):
                target = folder / f"{language}{turn}.o"
                argv = [launcher.program, *command, "-c", str(source), "-o", str(target)]
                if sandbox is not None:
                    argv = sandbox.argv(argv, cwd=folder, writable=[folder, cache_folder(launcher)])
                _compile(argv, folder, env)
                if not target.is_file() or target.stat().st_size == 0:
                    what = f"{launcher.name} produced no object file."
                    raise GpubuildError(what)


def _compile(argv: list[str], folder: Path, env: dict[str, str]) -> None:
    done = run(argv, cwd=folder, env=env, timeout_s=TRIAL_TIMEOUT_S, check=False)
    if done.returncode == 0 and not done.timed_out:
        return
    error = failure(done, tuple(done.output.splitlines()[-TAIL_LINES:]), TRIAL_TIMEOUT_S)
    if done.timed_out or done.returncode < 0 or os.strerror(errno.ENOSPC) in done.output:
        raise _UnsettledError(error.what)
    raise error


def cache_folder(launcher: Launcher) -> Path:
    """Return the directory a launcher keeps its cache in."""
    return Path(launcher.env.get("CCACHE_DIR") or launcher.env["SCCACHE_DIR"])


def _target_flags(language: str, architectures: str, cxx: str) -> list[str]:
    if language == "HIP":
        return [f"--offload-arch={name}" for name in architectures.split(";")]
    if language == "CUDA":
        numbers = [entry.split("-", maxsplit=1)[0] for entry in architectures.split(";")]
        codes = [f"--generate-code=arch=compute_{number},code=[sm_{number}]" for number in numbers]
        return [f"-ccbin={cxx}", *codes]
    return []
