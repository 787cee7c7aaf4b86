"""CMake and Ninja: from their own wheels, else from PATH."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

from buildtool.errors import MissingToolError

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
