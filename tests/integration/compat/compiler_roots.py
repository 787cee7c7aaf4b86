"""Systems to compile on: this machine, and the root filesystems that ``GPUBUILD_TEST_ROOTS`` names.

A root is a directory with another distribution's compilers and C library (``ci/compiler-roots.sh`` makes some). It is
described by gpubuild's own probe, and its programs run inside it by bubblewrap, which needs no privileges.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from buildtool.probe.compilers import host_compilers
from buildtool.probe.machine import READ_LIMIT, LocalMachine, Output
from buildtool.probe.model import Host
from buildtool.probe.system import c_library, operating_system

PATH = "/usr/local/bin:/usr/bin:/bin"
COMPILE_TIMEOUT_S = 300.0


class Here(LocalMachine):
    """This machine, able to compile with a CUDA toolkit."""

    def compile(self, toolkit: Path, folder: Path, arguments: tuple[str, ...]) -> Output | None:
        """Run nvcc of a toolkit in `folder`; see `Root.compile`."""
        return self._nvcc(str(toolkit), str(folder), arguments)

    def _nvcc(self, toolkit: str, folder: str, arguments: tuple[str, ...]) -> Output | None:
        source, result = f"{folder}/proof.cu", f"{folder}/proof.o"
        return self.run((f"{toolkit}/bin/nvcc", *arguments, "-c", source, "-o", result), COMPILE_TIMEOUT_S)


class Root(Here):
    """A root filesystem, seen as a machine of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__({"PATH": PATH})
        self.root = root
        self._mounts: tuple[str, ...] = ()

    def _inside(self, path: str) -> str:
        return f"{self.root}{self.real_path(path)}"

    def read_text(self, path: str, limit: int = READ_LIMIT) -> str | None:
        return super().read_text(self._inside(path), limit)

    def list_dir(self, path: str) -> tuple[str, ...]:
        return super().list_dir(self._inside(path))

    def exists(self, path: str) -> bool:
        return super().exists(self._inside(path))

    def real_path(self, path: str) -> str:
        """Resolve links as a program inside would."""
        for _ in range(40):
            parts = Path(path).parts
            for count in range(2, len(parts) + 1):
                head = Path(*parts[:count])
                there = Path(f"{self.root}{head}")
                if there.is_symlink():
                    target = os.path.normpath(head.parent / there.readlink())
                    path = str(Path(target, *parts[count:]))
                    break
            else:
                break
        return path

    def which(self, name: str) -> str | None:
        folders = PATH.split(":")
        return next((f"{folder}/{name}" for folder in folders if self.exists(f"{folder}/{name}")), None)

    def run(self, argv: tuple[str, ...], timeout_s: float) -> Output | None:
        box = ("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", str(self.root), "/", "--dev", "/dev")
        more = ("--proc", "/proc", "--tmpfs", "/tmp", *self._mounts, "--clearenv", "--setenv", "PATH", PATH)
        outside = LocalMachine()
        return outside.run((*box, *more, *argv), timeout_s)

    def glibc_version(self) -> str | None:
        answer = self.run(("ldd", "--version"), 10.0)
        return answer.text.splitlines()[0].rpartition(" ")[2] if answer and answer.returncode == 0 else None

    def compile(self, toolkit: Path, folder: Path, arguments: tuple[str, ...]) -> Output | None:
        """Run nvcc of a toolkit of this machine inside the root; `folder` holds ``proof.cu``."""
        self._mounts = ("--ro-bind", str(toolkit), "/mnt", "--bind", str(folder), "/srv")
        try:
            return self._nvcc("/mnt", "/srv", arguments)
        finally:
            self._mounts = ()


def describe(machine: Here) -> Host:
    """Return what decides whether a compiler goes with a toolkit there: system, C library, compilers."""
    compilers, warnings = host_compilers(machine)
    assert not warnings
    return Host(os=operating_system(machine), libc=c_library(machine), host_compilers=compilers)


def systems() -> list[Here]:
    """Return this machine and every usable root."""
    named = [Path(part) for part in os.environ.get("GPUBUILD_TEST_ROOTS", "").split(os.pathsep) if part]
    missing = [str(root) for root in named if not (root / "usr/bin").is_dir()]
    assert not missing, f"GPUBUILD_TEST_ROOTS names what is no root filesystem: {missing}"
    if named:
        assert shutil.which("bwrap"), "bubblewrap is needed to compile in another root filesystem"
        subprocess.run(["bwrap", "--ro-bind", "/", "/", "true"], check=True)
    return [Here(), *(Root(root) for root in named)]
