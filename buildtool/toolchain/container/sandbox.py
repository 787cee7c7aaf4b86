"""Running a build's commands in a container: read-only, without network, as the user who builds."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from buildtool.errors import GpubuildError, InvalidInputError, MissingToolError, ProcessError
from buildtool.process import run
from buildtool.store.paths import cache_root
from buildtool.toolchain.container.engine import Engine, Image
from buildtool.toolchain.sandbox import SCRATCH, refuse_own

ENVIRONMENT = "GPUBUILD_INSIDE"
TIMEOUT_S = 120.0
PROGRAMS = ("/usr/bin/ccache",)
# The first process of a container ends on no signal that it does not ask for, and a client that is killed leaves its
# container behind: this one hands the signal on and ends with the command. Its environment comes in one variable.
SHELL = (
    f'eval "${ENVIRONMENT}"; unset {ENVIRONMENT}; child=; trap \'test -z "$child" || kill -TERM $child\' TERM INT HUP; '
    '"$@" & child=$!; wait $child; code=$?; trap - TERM INT HUP; wait $child 2>/dev/null; exit $code'
)
# Who a command is inside so that its files are the user's outside: podman's root is the user; docker's may be root.
USERS = {
    "podman": ((), ("--userns=keep-id",)),
    "docker": ((f"--user={os.getuid()}:{os.getgid()}",) if hasattr(os, "getuid") else (), ()),
}


class ContainerSandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that can be entered; the methods are those of `buildtool.toolchain.sandbox.AnySandbox`.

    Attributes:
        program: path of the engine.
        image: the image's id.
        user: the engine's options for who commands are inside, as proved on this machine.
        programs: which of `PROGRAMS` are in the image.
        readable: paths of this machine that every command inside may read (CMake, Ninja).
    """

    program: str
    image: str
    user: tuple[str, ...]
    programs: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The image's id."""
        return self.image

    def has(self, program: str) -> bool:
        """Look for it in what was found when the image was opened."""
        return program in self.programs

    def argv(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
    ) -> list[str]:
        """Return the engine's command line."""
        words = [self.program, "run", "--rm", "--pull=never", "--network=none", "--read-only", *self.user]
        words += ["--security-opt=label=disable", f"--tmpfs={SCRATCH}:rw,exec,mode=1777", "--log-driver=none"]
        shown = [(Path(path), True) for path in self.readable] + [(path, True) for path in readable]
        shown += [(path, False) for path in writable]
        for path, only_read in sorted(shown, key=lambda pair: (len(pair[0].parts), not pair[1])):
            words.append(f"--mount={_mount(path, only_read=only_read)}")
        words += [f"--workdir={cwd}", f"--env={ENVIRONMENT}", "--entrypoint=/bin/sh"]
        return [*words, self.image, "-c", SHELL, "sh", *command]

    def environment(self, added: Mapping[str, str]) -> dict[str, str]:
        """Return the engine's own environment, and in one variable that of the command."""
        inside = {"LC_ALL": "C.UTF-8", "HOME": SCRATCH, "TMPDIR": SCRATCH} | dict(added)
        exports = "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(inside.items()))
        return {**os.environ, ENVIRONMENT: exports}


def _mount(path: Path, *, only_read: bool) -> str:
    refuse_own(path)
    text = str(path)
    if "," in text or '"' in text:
        what = f"{text} cannot be shown inside a container: its name has a comma or a quote."
        raise InvalidInputError(what, hint="Build elsewhere: --build-dir, GPUBUILD_CACHE, GPUBUILD_STORE.")
    return f"type=bind,source={text},target={text}" + (",readonly" if only_read else "")


def open_image(engine: Engine, image: Image, readable: Sequence[str] = ()) -> ContainerSandbox:
    """Return a way into an image, proved by a program in it that writes a file, which then belongs to this user.

    Raises:
        MissingToolError: the engine cannot start it, or what it writes is somebody else's.
        InvalidInputError: a path cannot be shown inside.
    """
    failures: list[str] = []
    cache_root().mkdir(parents=True, exist_ok=True)
    for user in dict.fromkeys(USERS[engine.name]):
        sandbox = ContainerSandbox(program=engine.program, image=image.id, user=user, readable=tuple(readable))
        with tempfile.TemporaryDirectory(prefix="gpubuild-image-", dir=cache_root()) as name:
            try:
                found = _try(sandbox, Path(name))
            except InvalidInputError:
                raise
            except GpubuildError as error:
                failures.append((error.details or (error.what,))[-1])
                continue
        if found is None:
            failures.append("What it writes belongs to another user.")
            continue
        return msgspec.structs.replace(sandbox, programs=found)
    what = f"{engine.name} cannot run a build in {image.name}."
    hint = f"Try it by hand: {engine.name} run --rm --network=none {image.name.partition('://')[2]} true"
    raise MissingToolError(what, hint=hint, details=tuple(failures))


def _try(sandbox: ContainerSandbox, folder: Path) -> tuple[str, ...] | None:
    """Return which of `PROGRAMS` are inside; None when the files of a command would not be this user's.

    Raises:
        ProcessError: the command does not run, or what it writes does not come here.
    """
    names = " ".join(PROGRAMS)
    script = f'for one in {names}; do if test -x "$one"; then echo "$one"; fi; done > found'
    argv = sandbox.argv(["/bin/sh", "-c", script], cwd=folder, writable=[folder])
    run(argv, env=sandbox.environment({}), timeout_s=TIMEOUT_S)
    written = folder / "found"
    if not written.is_file():
        what = "What it writes does not come here: the engine shows it the folders of another machine."
        raise ProcessError(what, hint="Name an engine of this machine: DOCKER_HOST, CONTAINER_HOST.")
    if hasattr(os, "getuid") and written.stat().st_uid != os.getuid():
        return None
    return tuple(written.read_text("utf-8").split())
