"""Container engines: which one can be used here, and whether it has an image. Nothing is ever pulled."""

from __future__ import annotations

import re
import shutil

import msgspec

from buildtool.errors import InvalidInputError, MissingToolError, ProcessError
from buildtool.probe.model import ContainerImage
from buildtool.process import run

# For each scheme, the engines to try, best first: they take the same images.
ENGINES = {"docker": ("docker", "podman"), "podman": ("podman", "docker")}
TIMEOUT_S = 60.0
_IMAGE = re.compile(r"(?P<scheme>[a-z]+)://(?P<name>[\w][\w.:/@-]*)", re.ASCII)
_MISSING = ("no such image", "no such object", "image not known", "unable to find")


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A container engine that answers: ``podman`` or ``docker``, and the path of its program."""

    name: str
    program: str

    def argv(self, *words: str) -> list[str]:
        """Return the command line of a question whose answer is read: the engine's own warnings would stand in it."""
        return [self.program, "--log-level=error", *words]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that an engine has.

    Attributes:
        name: as it was asked for, with its scheme.
        id: sha256 of its configuration, as ``sha256:...``; changes when anything in it does.
        machine: what it runs on, by Go's name (``amd64``).
    """

    name: str
    id: str
    machine: str

    @property
    def plan(self) -> ContainerImage:
        """The same as a plan names it."""
        return ContainerImage(name=self.name, id=self.id)


def parse_image(text: str) -> tuple[str, str]:
    """Read ``docker://name[:tag]`` into scheme and name.

    Raises:
        InvalidInputError: it is something else.
    """
    found = _IMAGE.fullmatch(text)
    if found is None or found["scheme"] not in ENGINES:
        what = f"{text!r} names no container image."
        raise InvalidInputError(what, hint="Write it as docker://name:tag or podman://name:tag.")
    return found["scheme"], found["name"]


def find_engine(image: str) -> Engine:
    """Return the engine for an image: the one its scheme names, else the other.

    Raises:
        InvalidInputError: `image` names none.
        MissingToolError: no engine is installed, or none answers.
    """
    scheme, _ = parse_image(image)
    said: list[str] = []
    for name in ENGINES[scheme]:
        program = shutil.which(name)
        if program is None:
            said.append(f"{name}: not installed")
            continue
        # docker's program needs a server, podman's does not.
        words = [program, "version", "--format", "{{.Server.Version}}" if name == "docker" else "{{.Client.Version}}"]
        try:
            run(words, timeout_s=TIMEOUT_S)
        except ProcessError as error:
            said.append(f"{name}: {(error.details or (error.what,))[-1]}")
            continue
        return Engine(name=name, program=program)
    what = f"{image} cannot be entered: there is no container engine here."
    hint = (
        "Install podman (apt-get install podman, dnf install podman), or start docker. Without an engine, leave --in "
        "out: gpubuild makes a private root filesystem where it can (gpubuild toolchain list --available)."
    )
    raise MissingToolError(what, hint=hint, details=tuple(said))


def find_image(engine: Engine, image: str) -> Image:
    """Return an image that the engine has.

    Raises:
        MissingToolError: it has none of that name.
        ProcessError: the engine failed.
    """
    _, name = parse_image(image)
    words = engine.argv("image", "inspect", "--format", "{{.Id}} {{.Architecture}}", name)
    done = run(words, timeout_s=TIMEOUT_S, check=False)
    if done.returncode == 0:
        identity, _, machine = done.output.strip().partition(" ")
        return Image(name=image, id=f"sha256:{identity.removeprefix('sha256:')}", machine=machine)
    if any(words in done.output.lower() for words in _MISSING):
        what = f"{engine.name} has no image {name}."
        hint = f"Fetch it first: {engine.name} pull {name}. gpubuild pulls nothing by itself."
        raise MissingToolError(what, hint=hint, details=tuple(done.output.splitlines()[-3:]))
    what = f"{engine.name} failed to look for the image {name}."
    raise ProcessError(what, details=tuple(done.output.splitlines()[-10:]))


def same_image(engine: Engine, wanted: ContainerImage) -> Image:
    """Return the image of a plan.

    Raises:
        MissingToolError: the engine has it not, or another one under its name.
    """
    found = find_image(engine, wanted.name)
    if found.id != wanted.id:
        what = f"{wanted.name} is no longer the image of the plan."
        why = f"It is {found.id[:19]}, planned was {wanted.id[:19]}."
        raise MissingToolError(what, why=why, hint="Plan again, or fetch the image that was planned with.")
    return found
