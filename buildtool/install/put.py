"""Puts verified wheels into an environment with pip or uv, and asks the result whether the pair belongs together."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Literal

import msgspec

from buildtool import process
from buildtool.errors import InvalidInputError, MissingToolError, ProcessError, VerificationError
from buildtool.install.model import Target

Installer = Literal["pip", "uv"]
LOADERS = ("/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib")
INSTALL_S = 1800.0
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_OBJECT = re.compile(r"^\{.*", re.MULTILINE | re.DOTALL)
_ASK = "import sys; print('.'.join(map(str, sys.version_info[:3])))"


class _Backend(msgspec.Struct, frozen=True):
    name: str
    problem: str


class _Info(msgspec.Struct, frozen=True):
    version: str
    backends: tuple[_Backend, ...]


def environment(python: Path | None) -> Target:
    """Describe the environment of an interpreter, or of the folder of one; by default the current one.

    Raises:
        InvalidInputError: it does not answer.
    """
    given = python if python is not None else _current()
    hint = "Make one: python3 -m venv DIR; then --python DIR"
    if given.is_dir():
        given /= "Scripts/python.exe" if os.name == "nt" else "bin/python"
    given = Path(shutil.which(str(given)) or given).absolute()  # a bare name is found as a shell finds it
    try:
        done = process.run([str(given), "-I", "-c", _ASK], timeout_s=60)
    except (ProcessError, MissingToolError) as error:
        what = f"{given} is no Python that answers."
        raise InvalidInputError(what, why=error.what, hint=hint) from error
    said = done.output.strip().splitlines()[-1:]
    if not said or not _VERSION.fullmatch(said[0]):
        what = f"{given} is no Python that answers."
        raise InvalidInputError(what, why=f"It said {said[0][:80]!r}." if said else "It said nothing.", hint=hint)
    return Target(python=str(given), version=said[0])


def _current() -> Path:
    active = os.environ.get("VIRTUAL_ENV")
    return Path(active) if active else Path(sys.executable)


def has_vulkan() -> bool:
    """Whether the Vulkan loader is in a folder where the system's loader looks."""
    return os.name == "nt" or any(Path(folder, "libvulkan.so.1").exists() for folder in LOADERS)


def command(target: Target, installer: Installer, files: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that installs.

    Raises:
        MissingToolError: uv was asked for and is not here.
    """
    if installer == "pip":
        return (
            sys.executable, "-m", "pip", "--python", target.python, "install", "--disable-pip-version-check",
            "--no-input", "--progress-bar=off", *options, *files,
        )  # fmt: skip
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.is_file() else shutil.which("uv")
    if program is None:
        what = "uv is not installed."
        raise MissingToolError(what, hint="Install it (pip install uv), or leave --uv out to use pip.")
    return (program, "pip", "install", "--python", target.python, *options, *files)


def put(target: Target, argv: tuple[str, ...], backend: str = "") -> None:
    """Install, then let the runtime say whether it can use the backend.

    Args:
        target: the environment.
        argv: the command that installs.
        backend: the name under which the runtime must know the new backend, such as ``cuda13``; "" for none.

    Raises:
        ProcessError: the installer failed.
        VerificationError: the runtime refuses the backend, does not find it, or does not start.
    """
    process.run(argv, timeout_s=INSTALL_S)
    try:
        done = process.run([target.python, "-m", "gpubuild_llama", "info", "--json"], timeout_s=120)
        said = _OBJECT.search(done.output)  # Python may warn before it
        info = msgspec.json.decode(said[0] if said is not None else done.output, type=_Info)
    except (ProcessError, ValueError) as error:
        what = "The installed runtime does not answer."
        raise VerificationError(what, why=str(error)) from error
    wrong = [f"{backend.name}: {backend.problem}" for backend in info.backends if backend.problem]
    if wrong:
        what = "A backend in this environment cannot be used with the installed runtime."
        hint = "Uninstall it, or install the runtime it was built for."
        raise VerificationError(what, hint=hint, details=tuple(wrong))
    if backend and all(one.name != backend for one in info.backends):
        what = f"The installed runtime does not find its backend {backend}."
        raise VerificationError(what, hint="The backend's wheel does not announce it: build it again.")
