"""The wish (`Request`) and the whole truth about a build (`Plan`)."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from buildtool.probe.model import ContainerImage

PLAN_SCHEMA = 1
LAUNCHERS = ("sccache", "ccache")
Backend = Literal["cuda", "rocm", "vulkan", "cpu"]
Profile = Literal["portable", "native", "minimal"]
RuntimeMode = Literal["pip", "bundle", "system"]
PlanProvider = Literal["pypi", "system", "redist", "therock", "therock-wheels", "rootfs"]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user asked for; everything left out is decided by the engine."""

    backend: Backend | Literal["auto"] = "auto"
    targets: tuple[str, ...] = ()
    add_targets: tuple[str, ...] = ()
    base: Literal["detected", "recipe"] = "detected"
    toolkit: str | None = None  # "cuda==13.*"
    recipe: str = "llama.cpp"
    source: str | None = None  # a name the recipe offers, a path, a git URL with #tag, an archive URL
    profile: Profile = "portable"
    runtime: RuntimeMode = "pip"
    thin_vendor: bool = False  # cut NVIDIA's libraries of a bundle down to the targets: for one's own machine only
    inside: str | None = None  # "docker://image:tag"
    manylinux: str | None = None  # "2_31": the oldest C library that the wheels must run with


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One choice of the engine: what was decided, which rule did it, why, and where the facts come from."""

    subject: str
    choice: str
    rule: str
    reason: str
    sources: tuple[str, ...] = ()


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file of a package registry or server, fixed by name, version, file name and sha256 (lower-case hex).

    Attributes:
        name: the package or component.
        version: its version.
        filename: its file; of a vendor's server, the path below the server's address.
        sha256: of the file.
        bytes: its size, where the server tells it beforehand; else 0.
    """

    name: str
    version: str
    filename: str
    sha256: str
    bytes: int = 0


class PlanSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which source tree is built.

    Attributes:
        kind: ``sdist`` (a package registry), ``git``, ``archive`` or ``local``.
        name: the recipe's name for it, or the path/URL the user gave.
        version: PEP 440 version that the wheels carry.
        pin: the registry file, for ``sdist``.
        url: for ``git`` and ``archive``; the path for ``local``.
        ref: tag or commit, for ``git``.
        sha256: of the archive, for ``archive``.
        subdir: where the tree to build lies inside the unpacked source; "" for its root.
    """

    kind: Literal["sdist", "git", "archive", "local"]
    name: str
    version: str
    pin: Pin | None = None
    url: str | None = None
    ref: str | None = None
    sha256: str | None = None
    subdir: str = ""


class PlanRootfs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root filesystem to make from a Debian suite; the packages in it are the toolkit's `pins`.

    Attributes:
        name: its row in ``rootfs.toml``.
        architecture: Debian's name for the machine.
        suites: the suite, and a second one for packages that fit a glob of `prefer`.
        components: of the suites.
        prefer: package names (globs) taken from the last suite.
        packages: what is asked for; their dependencies follow.
        leave_out: files that are not unpacked (globs).
    """

    name: str
    architecture: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    prefer: tuple[str, ...] = ()
    packages: tuple[str, ...]
    leave_out: tuple[str, ...] = ()


class PlanToolkit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which CUDA/ROCm/Vulkan toolkit compiles it and where that comes from.

    ``provider`` is ``pypi`` (assembled in the store from `pins`), ``system`` (installed at `path`), ``redist``,
    ``therock`` or ``therock-wheels`` (files of a vendor's server, assembled in the store from `pins`; AMD's are those
    of a `family` of targets), or ``rootfs`` (the private root filesystem `rootfs`, made of `pins`). Pins of a server
    and of a root filesystem may be open; then they are those of the day it is fetched.
    """

    kind: Literal["cuda", "rocm", "vulkan", "host"]  # host: an old system that only brings a compiler
    version: str
    provider: PlanProvider
    pins: tuple[Pin, ...] = ()
    path: str | None = None
    rootfs: PlanRootfs | None = None
    family: str = ""


class PlanCompiler(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host compiler, as found by the probe."""

    family: Literal["gcc", "clang", "msvc"]
    version: str
    cxx: str
    cc: str


class PlanPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source patch that this build needs: its name, the sha256 (hex) of its body, and the targets that need it."""

    name: str
    sha256: str
    targets: tuple[str, ...] = ()


class PlanWheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel to make: distribution name, import package, version, and what it requires."""

    role: Literal["runtime", "backend"]
    distribution: str
    package: str
    version: str
    requires: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything later rooms need to know about a build; what ``gpubuild.lock`` holds.

    Attributes:
        launchers: compiler caches to try, best first; one is used only after a trial compile proved it.
        inside: the container image that holds the compilers and the toolkit; None when they are on the machine.
        cmake_options: upstream's and CMake's own cache variables, machine-independent.
        base: the old system in which host code is compiled; left out of the lock where there is none.
        thin_vendor: NVIDIA's libraries of the bundle are cut down to the targets; left out of the lock where they are
            not. Such a wheel must not be passed on.
        decisions: the explanation; not part of the identity.
    """

    schema: int = PLAN_SCHEMA
    recipe: str
    source: PlanSource
    backend: Backend
    targets: tuple[str, ...]
    toolkit: PlanToolkit | None
    host_compiler: PlanCompiler
    profile: Profile
    cmake_options: dict[str, str]
    patches: tuple[PlanPatch, ...] = ()
    launchers: tuple[str, ...] = LAUNCHERS
    runtime: RuntimeMode
    wheels: tuple[PlanWheel, ...]
    platform: str  # "linux-x86_64"
    inside: ContainerImage | None = None
    base: PlanToolkit | msgspec.UnsetType = msgspec.UNSET
    thin_vendor: bool | msgspec.UnsetType = msgspec.UNSET
    decisions: tuple[Decision, ...] = ()

    def digest(self) -> str:
        """Return the sha256 (hex) of everything that decides the build; decisions and launchers do not."""
        identity = msgspec.structs.replace(self, decisions=(), launchers=())
        return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
