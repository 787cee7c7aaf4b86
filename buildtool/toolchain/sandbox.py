"""Running a command where the compilers are and the machine is not: in a root filesystem or in a container.

The command sees that place read-only, the paths it is given under their own names, an empty home, no network, and
nothing else of the machine. What it is given to write is the only thing that stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from buildtool.errors import GpubuildError, InvalidInputError, MissingToolError, ProcessError
from buildtool.process import run

PROGRAM = "bwrap"
PACKAGE = "bubblewrap"
PATH = "/usr/bin:/bin"
SCRATCH = "/tmp"  # noqa: S108 - the path inside, where nobody else is
TIMEOUT_S = 30.0
TOP_LEVEL = ("etc", "usr")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
OWN = tuple(f"/{name}" for name in (*TOP_LEVEL, *MERGED, "dev", "proc", "sys"))
# Everything of a private /proc needs rights that a container may not give; there the outer one is shown instead.
ISOLATIONS = (
    ("--unshare-all", "--die-with-parent", "--proc", "/proc"),
    ("--unshare-user-try", "--unshare-ipc", "--unshare-net", "--die-with-parent", "--ro-bind", "/proc", "/proc"),
)
REFUSED = ("No permissions to creat", "Creating new namespace failed", "setting up uid map", "Operation not permitted")


class AnySandbox(Protocol):
    """A way into another place."""

    @property
    def place(self) -> str:
        """What the place is, as a name that changes when its content does."""

    def has(self, program: str) -> bool:
        """Say whether a program lies at this path inside."""

    def argv(
        self, command: Sequence[str], *, cwd: Path, readable: Sequence[Path] = (), writable: Sequence[Path] = ()
    ) -> list[str]:
        """Return the command line that runs `command` inside.

        Args:
            command: program and arguments, with paths as they are inside.
            cwd: where it starts; below one of the paths given.
            readable: further paths it may read.
            writable: paths it may write.

        Raises:
            InvalidInputError: a path cannot be shown inside.
        """

    def environment(self, added: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment to run that command line in, so that `added` is what counts inside."""


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root filesystem that can be entered with bubblewrap; the methods are those of `AnySandbox`.

    Attributes:
        tree: the root filesystem's directory.
        program: path of bubblewrap.
        isolation: what it is told to keep apart, as proved on this machine.
        readable: paths of this machine that every command inside may read (CMake, Ninja).
    """

    tree: str
    program: str
    isolation: tuple[str, ...]
    readable: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The tree's directory; a tree never changes."""
        return self.tree

    def has(self, program: str) -> bool:
        """Look for it in the tree."""
        return Path(self.tree, program.lstrip("/")).is_file()

    def argv(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
    ) -> list[str]:
        """Return bubblewrap's command line."""
        words = [self.program, *self.isolation, "--dev", "/dev", "--tmpfs", SCRATCH]
        for name in TOP_LEVEL:
            if Path(self.tree, name).is_dir():
                words += ["--ro-bind", f"{self.tree}/{name}", f"/{name}"]
        if Path(self.tree, "usr", "local").is_dir():
            words += ["--tmpfs", "/usr/local"]  # empty in a distribution, and where gpubuild itself may be installed
        for name in MERGED:
            if Path(self.tree, "usr", name).is_dir():
                words += ["--symlink", f"usr/{name}", f"/{name}"]
        shown = [*(("--ro-bind", Path(path)) for path in self.readable), *(("--ro-bind", path) for path in readable)]
        shown += [("--bind", path) for path in writable]
        # A path below another one must come after it, or it would be covered.
        for option, path in sorted(shown, key=lambda pair: (len(pair[1].parts), pair[0] == "--bind")):
            refuse_own(path)
            words += [option, str(path), str(path)]
        return [*words, "--chdir", str(cwd), "--", *command]

    def environment(self, added: Mapping[str, str]) -> dict[str, str]:
        """Return what bubblewrap hands on as it is: nothing of the machine's own."""
        return {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": SCRATCH, "TMPDIR": SCRATCH} | dict(added)


def refuse_own(path: Path) -> None:
    """Refuse a path that would hide what a place has itself.

    Raises:
        InvalidInputError: it is one.
    """
    inside = next((own for own in OWN if path.is_relative_to(own)), None)
    if inside is None or path.is_relative_to("/usr/local"):
        return
    what = f"{path} cannot be shown inside a root filesystem or container, which has a {inside} of its own."
    raise InvalidInputError(what, hint="Use a path below /home, /opt, /srv, /tmp or /usr/local.")


def bubblewrap() -> str:
    """Return the path of bubblewrap.

    Raises:
        MissingToolError: it is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        what = "A root filesystem is entered with bubblewrap, which is not installed."
        raise MissingToolError(what, hint=f"Install it: apt-get install {PACKAGE} (Fedora: dnf install {PACKAGE}).")
    return str(Path(found).absolute())


def require_namespaces() -> None:
    """Make sure that a root filesystem could be entered, before gigabytes are fetched for it.

    Raises:
        MissingToolError: bubblewrap is not installed, or this machine allows no user namespaces.
    """
    words = ["--unshare-user", "--unshare-net", "--ro-bind", "/", "/", "--", "/usr/bin/env", "true"]
    try:
        run([bubblewrap(), *words], timeout_s=TIMEOUT_S)
    except ProcessError as error:
        raise _explain(error) from error


def open_sandbox(tree: Path, readable: Sequence[str] = ()) -> Sandbox:
    """Return a way into the root filesystem `tree`, proved by running a program in it.

    Raises:
        MissingToolError: bubblewrap is not installed, or this machine allows no user namespaces.
        ProcessError: the root filesystem does not work.
    """
    program = bubblewrap()
    failures: list[GpubuildError] = []
    for isolation in ISOLATIONS:
        sandbox = Sandbox(tree=str(tree), program=program, isolation=isolation, readable=tuple(readable))
        try:
            run(
                sandbox.argv(["/usr/bin/true"], cwd=Path("/")),
                env=sandbox.environment({}),
                timeout_s=TIMEOUT_S,
            )
        except ProcessError as error:
            failures.append(error)
            continue
        return sandbox
    raise _explain(failures[0])


def _explain(error: GpubuildError) -> GpubuildError:
    said = " ".join(error.details)
    if not any(words in said for words in REFUSED):
        return error
    what = "This machine lets an ordinary user make no user namespace, so no root filesystem can be entered."
    hint = (
        "Ask its administrator for one of: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 23.10 and newer), "
        "sysctl user.max_user_namespaces=10000 (RHEL). Without: run gpubuild inside a podman or docker container "
        "that has the toolkit, or name an installed one; CUDA 13 needs none of this."
    )
    return MissingToolError(what, why=error.why, hint=hint, details=error.details)
