"""The CMake configure step: arguments from the plan, run only when something changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from buildtool.build.costs import CostBook
from buildtool.build.door import Door
from buildtool.build.launcher import Launcher
from buildtool.build.uses import STAMP, toolkit_places
from buildtool.compat.model import Plan
from buildtool.compat.recipes import recipe_directory
from buildtool.errors import BuildError, InvalidInputError, StorageError
from buildtool.process import Completed, failure, run
from buildtool.source.model import SourceTree
from buildtool.toolchain.model import Toolchain

PROGRAMS = ("llama-server", "llama-cli", "llama-bench", "llama-quantize", "test-backend-ops")
BACKEND_TARGETS = {"cuda": "ggml-cuda", "rocm": "ggml-hip", "vulkan": "ggml-vulkan", "cpu": ""}
FIRST_JOINT_CUDA = 13  # NVIDIA's wheels share one folder from CUDA 13 on; before, each library had its own
NOT_CARRIED = frozenset('"$;\\|<>')  # tried with CMake 4.4 and Ninja 1.13: build files or install scripts break at them
ERROR_LINES = 30
FULL = os.strerror(errno.ENOSPC)
SLOW_FIRST = 24  # how many sources are worth putting in front


def require_carried(path: Path, hint: str) -> None:
    """Refuse a directory with letters that CMake or Ninja do not carry: builds in it would fail after an hour.

    Raises:
        InvalidInputError: it has one.
    """
    found = sorted({sign for sign in path.as_posix() if sign in NOT_CARRIED or not sign.isprintable()})
    if found:
        shown = " ".join(sign if sign.isprintable() else repr(sign) for sign in found)
        what = f"{str(path)!r} has letters in its name that CMake and Ninja do not carry: {shown}"
        raise InvalidInputError(what, hint=hint)


def backend_rpath(plan: Plan) -> str:
    """Return where an installed backend module looks for libraries: the runtime beside it, then the vendor's wheels."""
    if plan.platform.startswith("windows"):
        return ""  # Windows looks beside the program and in PATH
    places = ["$ORIGIN", "$ORIGIN/../../gpubuild_llama/lib"]
    if plan.backend == "cuda" and plan.toolkit is not None and plan.runtime == "pip":
        major = int(plan.toolkit.version.split(".", maxsplit=1)[0])
        folders = (f"cu{major}",) if major >= FIRST_JOINT_CUDA else ("cuda_runtime", "cublas")
        places += [f"$ORIGIN/../../nvidia/{folder}/lib" for folder in folders]
    # Vulkan's loader is the driver's and lies where the system looks by itself.
    if plan.runtime == "system" and plan.backend != "vulkan" and plan.toolkit is not None and plan.toolkit.path:
        places.append(f"{plan.toolkit.path}/lib64")
    return ":".join(places)


def cmake_arguments(plan: Plan, toolchain: Toolchain, launcher: Launcher | None, book: CostBook) -> tuple[str, ...]:
    """Return every ``-D`` argument of the configure step, sorted, so that equal plans give equal command lines."""
    options = dict(plan.cmake_options)
    options |= toolchain.cmake_options
    options["CMAKE_MAKE_PROGRAM"] = toolchain.ninja
    options["CMAKE_PROJECT_TOP_LEVEL_INCLUDES"] = (recipe_directory(plan.recipe) / "gpubuild.cmake").as_posix()
    options["GPUBUILD_PROGRAMS"] = ";".join(PROGRAMS)
    options["GPUBUILD_BACKEND"] = BACKEND_TARGETS[plan.backend]
    options["GPUBUILD_BACKEND_RPATH"] = backend_rpath(plan)
    if plan.backend == "cuda" and plan.runtime == "bundle" and plan.platform.startswith("linux"):
        options["GPUBUILD_BACKEND_RPATH_FOR_ALL"] = "ON"  # NVIDIA's libraries are not given a RUNPATH of their own
    options["GPUBUILD_SLOW_FIRST"] = ";".join(book.slowest("ggml/src/ggml-cuda/", ".cu", SLOW_FIRST))
    if launcher is not None:
        for language in ("C", "CXX", "CUDA", "HIP"):
            options[f"CMAKE_{language}_COMPILER_LAUNCHER"] = launcher.program
    return tuple(f"-D{key}={value}" for key, value in sorted(options.items()))


def configure(
    build_dir: Path,
    source: SourceTree,
    toolchain: Toolchain,
    arguments: tuple[str, ...],
    *,
    door: Door,
    log: IO[str],
) -> bool:
    """Run CMake unless this directory was configured in exactly this way; return whether it ran.

    Raises:
        BuildError: CMake failed; carries what it said.
        StorageError: the disk filled up.
    """
    argv = [toolchain.cmake, "-G", "Ninja", "-S", source.path, "-B", str(build_dir), *arguments]
    identity = [argv, source.digest, *([toolchain.sandbox.place] if toolchain.sandbox is not None else [])]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    stamp = build_dir / STAMP
    if (build_dir / "build.ninja").is_file() and _stamped(stamp) == digest:
        return False
    stamp.unlink(missing_ok=True)
    done = run(door.argv(argv), env=door.env, log=log, check=False)
    if done.returncode != 0:
        raise _explain(done, Path(log.name))
    stamp.write_text(json.dumps({"arguments": digest, "toolkits": toolkit_places(toolchain)}), encoding="utf-8")
    return True


def _stamped(stamp: Path) -> str | None:
    try:
        value = json.loads(stamp.read_text(encoding="utf-8"))["arguments"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(value)


def _explain(done: Completed, log: Path) -> BuildError | StorageError:
    """Tell a failure from CMake's first error on, which may be far from the end of what it said."""
    lines = done.output.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("CMake Error")), None)
    telling = tuple(lines[-ERROR_LINES:] if first is None else lines[first : first + ERROR_LINES])
    hint = f"The full log is {log}"
    if any(FULL in line for line in lines):
        what = "The disk filled up while CMake configured the build."
        return StorageError(what, hint=f"Free some space and run the same command again. {hint}", details=telling)
    error = failure(done, telling)
    return BuildError("CMake could not configure the build.", why=error.why, hint=hint, details=telling)


def hermetic_environment(source: SourceTree, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of configure and build: inherited, less what would leak into a build unseen."""
    env = {key: value for key, value in os.environ.items() if key not in LEAKS}
    env["GIT_CEILING_DIRECTORIES"] = str(Path(source.path).parent)  # a tree without .git has no commit of ours
    env["LC_ALL"] = "C.UTF-8"
    return env | dict(extra)


# Variables that CMake and compilers read on their own and that no plan mentions.
LEAKS = frozenset(
    {
        "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CPPFLAGS", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
        "LIBRARY_PATH", "CUDACXX", "CUDAFLAGS", "CUDAHOSTCXX", "CUDAARCHS", "HIPCXX", "HIPFLAGS", "CMAKE_GENERATOR",
        "CMAKE_PREFIX_PATH", "CMAKE_BUILD_TYPE", "CMAKE_TOOLCHAIN_FILE", "NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS",
        "NVCC_CCBIN", "DESTDIR", "VERBOSE", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER",
        "CMAKE_CUDA_COMPILER_LAUNCHER", "LD_PRELOAD", "VULKAN_SDK", "GLSLC",
    }
)  # fmt: skip
