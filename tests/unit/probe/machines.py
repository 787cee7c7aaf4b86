"""Imitated machines: the boundary of `buildtool.probe.machine.Machine`, filled from dictionaries."""

from __future__ import annotations

import ntpath
import posixpath
import time
from collections.abc import Callable, Mapping

from buildtool.probe.machine import READ_LIMIT, Output, System

Program = Callable[[tuple[str, ...]], Output]


def printing(text: str, returncode: int = 0) -> Program:
    """Return a program that prints `text`."""
    return lambda _: Output(returncode=returncode, text=text)


def hanging(_: tuple[str, ...]) -> Output:
    """Be a program that had to be killed at its time limit."""
    return Output(returncode=-9, text="", timed_out=True)


def stuck(_: tuple[str, ...]) -> Output:
    """Be a program that cannot even be killed."""
    time.sleep(30)
    return Output(returncode=0, text="")


def crashing(_: tuple[str, ...]) -> Output:
    message = "the probe itself is broken"
    raise RuntimeError(message)


class ImitatedMachine:
    """A machine made of files, links and programs."""

    def __init__(
        self,
        *,
        system: System = "linux",
        files: Mapping[str, str] | None = None,
        links: Mapping[str, str] | None = None,
        programs: Mapping[str, Program] | None = None,
        environ: Mapping[str, str] | None = None,
        closed: tuple[str, ...] = (),
        kernel: str = "6.12.0",
    ) -> None:
        self.system: System = system
        self.arch = "x86_64"
        self.kernel = kernel
        self.closed = closed
        self.path = ntpath if system == "windows" else posixpath
        self.programs = dict(programs or {})
        self.files = dict(files or {})
        self.links = dict(links or {})
        separator = ";" if system == "windows" else ":"
        folders = dict.fromkeys(self.path.dirname(path) for path in self.programs)
        self.environ: Mapping[str, str] = {"PATH": separator.join(folders), **(environ or {})}

    def _paths(self) -> set[str]:
        paths = {*self.files, *self.programs, *self.links}
        for path in tuple(paths):
            parent = self.path.dirname(path)
            while parent not in paths and parent != self.path.dirname(parent):
                paths.add(parent)
                parent = self.path.dirname(parent)
        return paths

    def read_text(self, path: str, limit: int = READ_LIMIT) -> str | None:
        text = self.files.get(path)
        return None if text is None else text[:limit]

    def list_dir(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(self.path.basename(one) for one in self._paths() if self.path.dirname(one) == path))

    def exists(self, path: str) -> bool:
        return path in self._paths()

    def may_open(self, path: str) -> bool:
        return path not in self.closed

    def real_path(self, path: str) -> str:
        return self.links.get(path, path)

    def which(self, name: str) -> str | None:
        names = (name, f"{name}.exe")
        return next((path for path in self.programs if self.path.basename(path) in names), None)

    def run(self, argv: tuple[str, ...], timeout_s: float) -> Output | None:  # noqa: ARG002 - the protocol's
        program = self.programs.get(argv[0])
        return None if program is None else program(argv)

    def cpu_count(self) -> int:
        return 8

    def glibc_version(self) -> str | None:
        return "2.41" if self.system == "linux" else None

    def memory_bytes(self) -> int | None:
        return 16 << 30
