"""CMake and Ninja: from their own wheels, else from PATH; and a C compiler of this machine."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

from buildtool.errors import MissingToolError

COMPILER_HINT = (
    "Install one: apt install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora, RHEL), "
    "zypper install gcc-c++ (SUSE), pacman -S gcc (Arch); on Windows the Visual Studio Build Tools."
)
SUFFIX = ".exe" if sys.platform == "win32" else ""


def cmake_path() -> str:
    """Return the path of the cmake program itself, not of its Python wrapper.

    Raises:
        MissingToolError: neither the wheel nor PATH has one.
    """
    return _program("cmake", "CMAKE_BIN_DIR")


def ninja_path() -> str:
    """Return the path of the ninja program itself.

    Raises:
        MissingToolError: neither the wheel nor PATH has one.
    """
    return _program("ninja", "BIN_DIR")


def _program(name: str, folder_constant: str) -> str:
    try:
        folder = getattr(importlib.import_module(name), folder_constant, None)
    except ImportError:
        folder = None
    if folder is not None and (path := Path(folder, name + SUFFIX)).is_file():
        return str(path)
    found = shutil.which(name)
    if found is None:
        what = f"{name} was not found."
        raise MissingToolError(what, hint=f"Install it beside gpubuild: pip install {name}")
    return found


def c_compiler() -> str:
    """Return this machine's C compiler, which makes the stub of the driver library: no code in it, only names.

    Raises:
        MissingToolError: there is none.
    """
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if found is None:
        what = "This machine has no C compiler, which the stub of the CUDA driver is made with."
        raise MissingToolError(what, hint=COMPILER_HINT)
    return found
