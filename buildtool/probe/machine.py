"""All input and output of the probe: the only module of this room that touches the machine.

Tests replace `Machine` by a description of another machine, so that a Windows host or an AMD host can be
imitated at exactly this boundary; parsers and rules above it are pure.
"""

from __future__ import annotations

import ntpath
import os
import platform
import posixpath
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from buildtool import process
from buildtool.errors import GpubuildError

System = Literal["linux", "windows", "macos"]
READ_LIMIT = 1 << 20
OUTPUT_LIMIT = 8 << 20


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What a program printed and how it ended."""

    returncode: int
    text: str
    timed_out: bool = False


class Machine(Protocol):
    """What the probe may ask of a machine. Nothing here raises: what cannot be read is None or empty."""

    system: System
    arch: str
    kernel: str
    environ: Mapping[str, str]

    def read_text(self, path: str, limit: int = READ_LIMIT) -> str | None:
        """Return at most `limit` bytes of a file as text, or None when it cannot be read."""

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Return the sorted names inside a directory, empty when there is none."""

    def exists(self, path: str) -> bool:
        """Say whether a file, directory or device node is there."""

    def may_open(self, path: str) -> bool:
        """Say whether this user may read and write a file or device node."""

    def real_path(self, path: str) -> str:
        """Return `path` with all links resolved."""

    def which(self, name: str) -> str | None:
        """Return the full path of a program on PATH."""

    def run(self, argv: tuple[str, ...], timeout_s: float) -> Output | None:
        """Run a program, or return None when it does not exist or cannot start."""

    def cpu_count(self) -> int:
        """Return how many CPUs this process may run on."""

    def glibc_version(self) -> str | None:
        """Return the version of the running glibc, or None on another C library."""

    def memory_bytes(self) -> int | None:
        """Return the installed memory where no file tells it (Windows, macOS)."""


def join(machine: Machine, *parts: str) -> str:
    """Join path parts the way `machine` writes paths."""
    return ntpath.join(*parts) if machine.system == "windows" else posixpath.join(*parts)


def dirname(machine: Machine, path: str) -> str:
    """Return the parent directory of `path` the way `machine` writes paths."""
    return ntpath.dirname(path) if machine.system == "windows" else posixpath.dirname(path)


def basename(machine: Machine, path: str) -> str:
    """Return the last part of `path` the way `machine` writes paths."""
    return ntpath.basename(path) if machine.system == "windows" else posixpath.basename(path)


def program_name(machine: Machine, name: str) -> str:
    """Return the file name of a program on `machine`."""
    return f"{name}.exe" if machine.system == "windows" else name


class LocalMachine:
    """The machine this process runs on."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.system: System = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")  # type: ignore[assignment]
        # platform.machine() would start `uname` through a chain of fallbacks; os.uname() is one call.
        uname = os.uname() if hasattr(os, "uname") else None
        self.arch = uname.machine if uname else platform.machine()
        self.kernel = uname.release if uname else platform.version()

    def read_text(self, path: str, limit: int = READ_LIMIT) -> str | None:
        """Read `path`; see `Machine`."""
        try:
            with Path(path).open("rb") as file:
                return file.read(limit).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def list_dir(self, path: str) -> tuple[str, ...]:
        """List `path`; see `Machine`."""
        try:
            return tuple(sorted(os.listdir(path)))  # noqa: PTH208 - Path.iterdir builds a Path per name
        except (OSError, ValueError):
            return ()

    def exists(self, path: str) -> bool:
        """Look for `path`; see `Machine`."""
        try:
            return Path(path).exists()
        except (OSError, ValueError):
            return False

    def may_open(self, path: str) -> bool:
        """Ask the system about `path`; see `Machine`."""
        return os.access(path, os.R_OK | os.W_OK)

    def real_path(self, path: str) -> str:
        """Resolve `path`; see `Machine`."""
        return os.path.realpath(path)

    def which(self, name: str) -> str | None:
        """Search PATH; see `Machine`."""
        suffixes = ("", *self.environ.get("PATHEXT", ".EXE").split(";")) if self.system == "windows" else ("",)
        for folder in self.environ.get("PATH", "").split(os.pathsep):
            for suffix in suffixes:
                candidate = os.path.join(folder, name + suffix)  # noqa: PTH118 - hundreds of candidates
                if folder and os.access(candidate, os.X_OK) and not os.path.isdir(candidate):  # noqa: PTH112
                    return candidate
        return None

    def run(self, argv: tuple[str, ...], timeout_s: float) -> Output | None:
        """Run a program in the C locale; see `Machine`."""
        env = {**self.environ, "LC_ALL": "C", "LANGUAGE": "C"}
        try:
            done = process.run(argv, env=env, timeout_s=timeout_s, check=False, keep=OUTPUT_LIMIT)
        except (GpubuildError, OSError, ValueError):
            return None
        return Output(returncode=done.returncode, text=done.output, timed_out=done.timed_out)

    def cpu_count(self) -> int:
        """Count the CPUs of this process's affinity mask; see `Machine`."""
        affinity = getattr(os, "sched_getaffinity", None)  # Linux only
        return len(affinity(0)) if affinity else os.cpu_count() or 1

    def glibc_version(self) -> str | None:
        """Ask the running C library (confstr(3), ``CS_GNU_LIBC_VERSION``); see `Machine`."""
        try:
            name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        except (AttributeError, OSError, ValueError):
            return None
        return version if name == "glibc" and version else None

    def memory_bytes(self) -> int | None:
        """Ask the operating system; see `Machine`."""
        if sys.platform == "win32":
            return _windows_memory()
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None


def _windows_memory() -> int | None:
    import ctypes

    # MEMORYSTATUSEX: dwLength, dwMemoryLoad, then seven 64-bit counts of which the first is ullTotalPhys.
    buffer = (ctypes.c_uint64 * 8)()
    buffer[0] = ctypes.sizeof(buffer)
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009 - absent on other systems, where mypy runs
    return int(buffer[1]) if kernel32.GlobalMemoryStatusEx(ctypes.byref(buffer)) else None
