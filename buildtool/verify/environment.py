"""A throw-away virtual environment, filled by pip with pip's own configuration."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import (
    GpubuildError,
    MissingToolError,
    NetworkError,
    NotProvedError,
    ProcessError,
    VerificationError,
)
from buildtool.verify.model import Options

#: Variables that would send pip or Python elsewhere than into the new environment, or llama.cpp to another backend.
_DIVERTING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV",
              "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GGML_BACKEND_PATH", "GPUBUILD_BACKENDS")  # fmt: skip
#: Prefix of the variables that stand for llama.cpp's own command-line options.
_DIVERTING_PREFIX = "LLAMA_ARG_"
_NO_NETWORK = ("NewConnectionError", "ConnectTimeout", "Failed to establish", "Name or service not known",
               "Temporary failure in name resolution", "Max retries exceeded")  # fmt: skip


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual environment: its root, its interpreter, and an empty directory for the steps to work in."""

    root: Path
    python: Path
    scratch: Path


@contextmanager
def throwaway(options: Options) -> Iterator[Environment]:
    """Make an empty environment; it is gone after the block, however that ends, unless `options.keep`.

    Raises:
        MissingToolError: this Python cannot make virtual environments.
    """
    root = Path(tempfile.mkdtemp(prefix="gpubuild-verify-")).resolve()
    try:
        yield _create(root, options)
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)


def clean_environ() -> dict[str, str]:
    """Return our environment variables without those that would lead pip, Python or llama.cpp astray."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _DIVERTING and not name.startswith(_DIVERTING_PREFIX)
    }


def _create(root: Path, options: Options) -> Environment:
    venv = root / "venv"
    argv = [sys.executable, "-m", "venv", "--without-pip"]
    argv += ["--system-site-packages"] * options.system_site_packages
    try:
        process.run([*argv, str(venv)], env=clean_environ(), timeout_s=options.timeouts.install)
    except ProcessError as error:
        what = "This Python could not make a virtual environment."
        raise MissingToolError(what, why=error.what, details=error.details) from error
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    scratch = root / "scratch"
    scratch.mkdir()
    if options.system_site_packages and sys.prefix != sys.base_prefix:
        _show_outer_packages(python)
    return Environment(root=root, python=python, scratch=scratch)


def _show_outer_packages(python: Path) -> None:
    """Let the packages of the environment that runs gpubuild count: venv itself shows only the base Python's."""
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    inner = Path(process.run([str(python), "-I", "-c", asked], timeout_s=60).output.strip())
    outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    inner.joinpath("gpubuild-outer.pth").write_text("\n".join(outer) + "\n", encoding="utf-8")


def install(environment: Environment, requirements: Sequence[str], options: Options, *extra: str) -> str:
    """Install into the environment with our own pip, and return what pip printed.

    Args:
        environment: where.
        requirements: names or wheel files.
        options: offline, find-links and the time limit.
        extra: further options of ``pip install``.

    Raises:
        NetworkError: the index could not be reached.
        MissingToolError: a dependency is nowhere to be found.
        NotProvedError: the wheels are for another platform.
        VerificationError: pip refuses the wheels for another reason.
    """
    argv = [sys.executable, "-m", "pip", "--python", str(environment.python), "install",
            "--disable-pip-version-check", "--no-input", "--progress-bar=off"]  # fmt: skip
    argv += ["--no-index"] * options.offline
    for directory in options.find_links:
        argv += ["--find-links", directory]
    done = process.run(
        [*argv, *extra, *requirements], env=clean_environ(), timeout_s=options.timeouts.install, check=False
    )
    if done.timed_out or done.returncode != 0:
        raise _refusal(done, options)
    return done.output


def _refusal(done: process.Completed, options: Options) -> GpubuildError:
    lines = [line for line in done.output.splitlines() if line.strip()]
    errors = tuple(line for line in lines if line.startswith(("ERROR", "error", "  ERROR"))) or tuple(lines[-8:])
    if done.timed_out:
        return process.failure(done, tuple(lines[-8:]), options.timeouts.install)
    if "not a supported wheel on this platform" in done.output:
        what = "A wheel is for another platform or Python, so that nothing could be proved here."
        return NotProvedError(what, details=errors)
    if any(sign in done.output for sign in _NO_NETWORK):
        what = "pip could not reach its package index."
        hint = "Give the dependencies with --offline --find-links DIR."
        return NetworkError(what, hint=hint, details=errors)
    if "No matching distribution found" in done.output:
        what = "A dependency was not found."
        where = "the --find-links directories" if options.offline else "pip's configured index"
        hint = f"Looked in {where}; add a directory with --find-links DIR."
        return MissingToolError(what, hint=hint, details=errors)
    return VerificationError("pip refuses to install the wheels.", details=errors)
