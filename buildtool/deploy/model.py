"""What ``gpubuild ollama status`` found, as frozen values; also its ``--json``."""

from __future__ import annotations

from typing import Literal

import msgspec

from buildtool.deploy.facts import Generation, Meaning

SCHEMA = 1
State = Literal["used", "dropped", "unproved", "absent"]


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact with where it comes from; `value` is None when nothing tells."""

    value: str | None
    source: str


class Runner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One folder below lib/ollama.

    Attributes:
        name: the folder's name.
        path: where it is.
        library: Ollama's name for what it serves (CUDA, ROCm, Vulkan); "" for none of them.
        module: ggml's backend module in it; "" when there is none, so that discovery passes it by.
        targets: device code in the module.
        rocblas: processors that its rocBLAS has a lazy table for.
        ours: whether gpubuild put it there.
        problems: what could not be read, or looks wrong.
    """

    name: str
    path: str
    library: str = ""
    module: str = ""
    targets: tuple[str, ...] = ()
    rocblas: tuple[str, ...] = ()
    ours: bool = False
    problems: tuple[str, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What starts the server.

    Attributes:
        manager: ``systemd``, ``systemd-user``, ``app`` (tray or menu bar) or ``none``.
        name: the unit's name.
        unit: its file.
        drop_ins: files that add to it, in the order they hold.
        user: who runs it.
        environment: variables that unit and drop-ins set.
        state: as the manager says (``active``), None when it was not asked.
        notes: what stands in the way.
    """

    manager: Literal["systemd", "systemd-user", "app", "none"]
    name: str = ""
    unit: str = ""
    drop_ins: tuple[str, ...] = ()
    user: str = ""
    environment: dict[str, str] = {}
    state: str | None = None
    notes: tuple[str, ...] = ()


class Models(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model store: its folder, why it is that one, and how many models it holds (None: not readable)."""

    path: str
    source: str
    models: int | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the log about a device: what it means, and its fields."""

    meaning: Meaning
    fields: dict[str, str]
    text: str


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last discovery that the log tells of, and the version that started last, "" when it does not say."""

    source: str
    version: str = ""
    lines: tuple[Seen, ...] = ()
    problem: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an installation does with one device.

    Attributes:
        device: its name.
        target: its target, "" when nobody knows it.
        state: ``used``; ``dropped``: Ollama sees it and leaves it; ``absent``: nothing there serves its maker;
            ``unproved``: reading alone does not tell.
        library: through which library it is used, or would be.
        runner: the folder that decides.
        reason: why.
        would: what would make it used; "" when it is, or nothing is known.
    """

    device: str
    target: str
    state: State
    library: str = ""
    runner: str = ""
    reason: str
    would: str = ""


class Installation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Ollama.

    Attributes:
        prefix: what it is installed below.
        program: the ollama program.
        libraries: its lib/ollama.
        kind: ``prefix``, ``package``, ``snap``, ``flatpak``, ``nix``, ``windows``, ``app``, ``homebrew``.
        package: of the distribution, if one owns it.
        writable: whether a folder can be put beside its runners, leaving rights aside; `why` says why not.
        may_write: whether this user may do it.
        layout: generation, with words for people.
        version, llama_cpp: what it is, and which llama.cpp it runs.
    """

    prefix: str
    program: str
    libraries: str
    kind: str
    package: str = ""
    writable: bool
    why: str = ""
    may_write: bool
    generation: Generation
    layout: str
    version: Known
    llama_cpp: Known
    runners: tuple[Runner, ...] = ()
    service: Service
    models: Models
    log: Log
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every installation, and what else was noticed (containers, folders without a program)."""

    schema: int = SCHEMA
    installations: tuple[Installation, ...]
    notes: tuple[str, ...] = ()
