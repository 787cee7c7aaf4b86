"""llama.cpp's programs and libraries, and the GPU backends installed beside them.

This package has no dependencies. Backend wheels announce themselves through the entry point group
``gpubuild_llama.backends``; the console commands and `environment` hand them to llama.cpp.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "gpubuild-llama"
ENTRY_POINTS = "gpubuild_llama.backends"

__all__ = [
    "Backend",
    "backends",
    "environment",
    "executable",
    "library",
    "library_directory",
    "load",
    "version",
]


@dataclass(frozen=True)
class Backend:
    """A GPU backend that is installed: its name (``cuda13``), its ggml module and the wheel it came in."""

    name: str
    path: Path
    distribution: str
    version: str
    problem: str = ""  # why it cannot be used, in words; "" when it can


def version() -> str:
    """Return the version of the installed runtime."""
    return metadata.version(DISTRIBUTION)


def library_directory() -> Path:
    """Return the directory that holds the programs, libraries and CPU modules, side by side."""
    return Path(__file__).resolve().parent / "lib"


def library(name: str) -> Path:
    """Return the path of a library by its plain name (``llama``, ``ggml``, ``ggml-base``, ``mtmd``).

    Raises:
        FileNotFoundError: this runtime has no such library.
    """
    patterns = {"win32": "{}.dll", "darwin": "lib{}.dylib"}
    return _existing(library_directory() / patterns.get(sys.platform, "lib{}.so").format(name))


def executable(name: str) -> Path:
    """Return the path of a program by its name (``llama-server``).

    Raises:
        FileNotFoundError: this runtime has no such program.
    """
    return _existing(library_directory() / (name + (".exe" if sys.platform == "win32" else "")))


def _existing(path: Path) -> Path:
    if not path.is_file():
        message = f"{DISTRIBUTION} {version()} does not contain {path.name}"
        raise FileNotFoundError(message)
    return path


def backends() -> list[Backend]:
    """Return the installed GPU backends, sorted by name; one that cannot work says why."""
    found = []
    for point in _announced():
        try:
            module = point.load()
            found.append(_backend(point.name, module.DISTRIBUTION, module.RUNTIME_VERSION, module.LIBRARY))
        except Exception as error:  # noqa: BLE001 - a damaged wheel must not take the others down
            found.append(Backend(point.name, Path(), point.value, "", f"it cannot be imported: {error}"))
    return sorted(found, key=lambda backend: backend.name)


def _announced() -> Iterable[metadata.EntryPoint]:
    if sys.version_info >= (3, 10):  # noqa: UP036 - wheels run on older Pythons than gpubuild
        return metadata.entry_points(group=ENTRY_POINTS)
    return metadata.entry_points().get(ENTRY_POINTS, ())  # Debian 11


def _backend(name: str, distribution: str, wants: str, path: Path) -> Backend:
    problem = ""
    if wants != version():
        problem = f"it was built for {DISTRIBUTION} {wants}, but {version()} is installed"
    elif not path.is_file():
        problem = f"{path} is missing"
    return Backend(name, path, distribution, metadata.version(distribution), problem)


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return `base` (default: this process's environment) with the installed backends made known to ggml.

    A ``GGML_BACKEND_PATH`` that is already set wins: somebody chose a backend by hand.
    """
    env = dict(os.environ if base is None else base)
    usable = [backend.path for backend in backends() if not backend.problem]
    if not usable or env.get("GGML_BACKEND_PATH"):
        return env
    if len(usable) == 1:
        env["GGML_BACKEND_PATH"] = str(usable[0])
    else:  # ggml takes one path: a small module of the runtime loads the rest
        env["GGML_BACKEND_PATH"] = str(library("gpubuild-backends"))
        env["GPUBUILD_BACKENDS"] = os.pathsep.join(map(str, usable))
    return env


def load() -> list[str]:
    """Load the CPU module that fits this processor and every usable GPU backend into this process.

    Call it before llama.cpp is used through other bindings; returns the names of ggml's devices.

    Raises:
        OSError: a library could not be loaded.
    """
    mode = getattr(ctypes, "RTLD_GLOBAL", 0)
    ctypes.CDLL(str(library("ggml-base")), mode=mode)
    ggml = ctypes.CDLL(str(library("ggml")), mode=mode)
    base = ctypes.CDLL(str(library("ggml-base")))
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path.restype = None
    ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    base.ggml_backend_dev_name.argtypes = [ctypes.c_void_p]
    base.ggml_backend_dev_name.restype = ctypes.c_char_p
    if ggml.ggml_backend_dev_count() == 0:
        ggml.ggml_backend_load_all_from_path(os.fsencode(library_directory()))
        for backend in backends():
            if not backend.problem:
                ggml.ggml_backend_load(os.fsencode(backend.path))
    devices = range(ggml.ggml_backend_dev_count())
    return [base.ggml_backend_dev_name(ggml.ggml_backend_dev_get(index)).decode() for index in devices]
