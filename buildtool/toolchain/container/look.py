"""What is installed in an image: the probe's own questions, asked inside a container of it."""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from buildtool.errors import GpubuildError, IncompatibleError, ProcessError
from buildtool.probe.compilers import host_compilers
from buildtool.probe.machine import READ_LIMIT, Output, System
from buildtool.probe.model import Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall
from buildtool.probe.system import c_library, operating_system
from buildtool.probe.toolkits import FINDERS
from buildtool.process import run
from buildtool.store.paths import cache_root
from buildtool.store.placing import write_whole
from buildtool.toolchain.container.engine import Engine, Image
from buildtool.toolchain.here import MACHINES

LOOK = 1  # part of every record: changed questions are asked again
IDLE = 'trap "exit" TERM; sleep 600 & wait'
TIMEOUT_S = 60.0


class Inside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a machine an image has."""

    toolkits: tuple[ToolkitInstall, ...]
    host_compilers: tuple[HostCompiler, ...]
    os: OperatingSystem
    libc: Libc | None


class _ImageMachine:
    """A container at rest, as the probe's `Machine`; each question runs a small program in it."""

    system: System = "linux"

    def __init__(self, engine: Engine, container: str, arch: str) -> None:
        self._exec = tuple(engine.argv("exec", container))
        self.arch, self.kernel = arch, ""
        self.environ: Mapping[str, str] = _environment(self._ask("env") or "")

    def _ask(self, *argv: str) -> str | None:
        done = run([*self._exec, *argv], timeout_s=TIMEOUT_S, check=False)
        return done.output if done.returncode == 0 else None

    def read_text(self, path: str, limit: int = READ_LIMIT) -> str | None:
        """Read `path` inside."""
        return self._ask("head", "-c", str(limit), path)

    def list_dir(self, path: str) -> tuple[str, ...]:
        """List `path` inside."""
        return tuple(sorted((self._ask("ls", "-1A", path) or "").splitlines()))

    def exists(self, path: str) -> bool:
        """Look for `path` inside."""
        return self._ask("test", "-e", path) is not None

    def may_open(self, path: str) -> bool:
        """Ask inside."""
        return self._ask("test", "-r", path, "-a", "-w", path) is not None

    def real_path(self, path: str) -> str:
        """Resolve `path` inside."""
        return (self._ask("readlink", "-f", path) or path).strip()

    def which(self, name: str) -> str | None:
        """Search the image's own PATH."""
        folders = [folder for folder in self.environ.get("PATH", "").split(":") if folder]
        script = 'for one in "$@"; do if test -x "$one" && ! test -d "$one"; then echo "$one"; exit; fi; done'
        found = self._ask("/bin/sh", "-c", script, "sh", *(posixpath.join(folder, name) for folder in folders))
        return (found or "").strip() or None

    def run(self, argv: tuple[str, ...], timeout_s: float) -> Output | None:
        """Run a program inside, in the C locale; the time is the engine's too, so there is more of it."""
        words = [*self._exec, "env", "LC_ALL=C", "LANGUAGE=C", *argv]
        try:
            done = run(words, timeout_s=max(timeout_s, TIMEOUT_S), check=False)
        except GpubuildError:
            return None
        return Output(returncode=done.returncode, text=done.output, timed_out=done.timed_out)

    def cpu_count(self) -> int:
        """Say nothing of the image: processors are the machine's."""
        return 1

    def glibc_version(self) -> str | None:
        """Ask the C library inside."""
        found = re.match(r"glibc (\d[\d.]*)", self._ask("getconf", "GNU_LIBC_VERSION") or "")
        return found[1] if found else None

    def memory_bytes(self) -> int | None:
        """Say nothing of the image: memory is the machine's."""
        return None


def host_with(engine: Engine, image: Image, host: Host) -> Host:
    """Return the machine as a build in an image sees it: the image's compilers and toolkits, the machine's devices.

    Raises:
        IncompatibleError: the image is for another kind of machine.
        ProcessError: a container of it cannot be started.
    """
    machine = MACHINES.get(image.machine, image.machine)
    if host.os.system != "linux" or machine != MACHINES.get(host.os.machine.lower(), host.os.machine):
        what = f"{image.name} is for {machine} Linux; this machine is {host.os.machine} {host.os.system}."
        raise IncompatibleError(what, hint="Take an image for this machine.")
    inside = _looked(engine, image, machine)
    return msgspec.structs.replace(
        host,
        toolkits=inside.toolkits,
        host_compilers=inside.host_compilers,
        tools=(),
        offered=(),
        os=msgspec.structs.replace(inside.os, kernel=host.os.kernel, container=engine.name, wsl=host.os.wsl),
        libc=inside.libc,
        image=image.plan,
    )


def _looked(engine: Engine, image: Image, machine: str) -> Inside:
    """Look into an image once; what is in one never changes."""
    record = cache_root() / "images" / f"{image.id.removeprefix('sha256:')}-{LOOK}.json"
    try:
        return msgspec.json.decode(record.read_bytes(), type=Inside)
    except (OSError, ValueError):
        pass
    with _at_rest(engine, image) as container:
        there = _ImageMachine(engine, container, machine)
        compilers, troubles = host_compilers(there, TIMEOUT_S)
        inside = Inside(
            toolkits=tuple(found for find in FINDERS.values() for found in find(there)),
            host_compilers=compilers,
            os=operating_system(there),
            libc=c_library(there),
        )
    if not troubles:
        with contextlib.suppress(OSError):  # then it is looked up again
            write_whole(record, msgspec.json.encode(inside))
    return inside


@contextmanager
def _at_rest(engine: Engine, image: Image) -> Iterator[str]:
    """Start a container that does nothing, and remove it at the end."""
    words = ["--rm", "--detach", "--pull=never", "--network=none", "--read-only", "--entrypoint=/bin/sh"]
    try:
        done = run(engine.argv("run", *words, image.id, "-c", IDLE), timeout_s=TIMEOUT_S)
    except ProcessError as error:
        what = f"{engine.name} cannot start a container of {image.name}."
        raise ProcessError(what, why=error.why, details=error.details) from error
    container = done.output.split()[-1]
    try:
        yield container
    finally:
        run([engine.program, "rm", "--force", container], timeout_s=TIMEOUT_S, check=False)


def _environment(text: str) -> dict[str, str]:
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}
