"""What the wizard has to ask, and what a chosen way comes to. Pure: facts in, choices and commands out."""

from __future__ import annotations

import msgspec

from buildtool.compat.case import VENDOR_BACKEND, detected_targets
from buildtool.compat.devices import products_of
from buildtool.compat.ladder import Rung, Served, ladder, ladder_for_all
from buildtool.compat.model import Request
from buildtool.compat.offers import Step
from buildtool.compat.targets import Target, parse_target
from buildtool.errors import IncompatibleError, InvalidInputError, UnknownNameError
from buildtool.probe.model import Device, Host
from buildtool.shell import command_line

FOR_OLLAMA = "For an installed Ollama: gpubuild ollama enable, which builds from the llama.cpp that it runs."
TITLES = {
    "served": "already served",
    "override": "override",
    "retarget": "retarget",
    "recompile": "recompile",
    "vulkan": "Vulkan",
    "cpu": "CPU",
}


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ladder is shown for: one target, all of one platform, or none (the CPU)."""

    targets: tuple[Target, ...]
    name: str

    @property
    def words(self) -> str:
        """The card and its target, in one line."""
        names = ", ".join(map(str, self.targets))
        return f"{self.name} ({names})" if names else self.name


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a way comes to.

    Attributes:
        first: what somebody has to install before; gpubuild never does that itself.
        by_hand: lines for the user's own shell, which no other program can run for it.
        commands: gpubuild's commands, in order, each a list of words.
        notes: what is good to know.
    """

    first: tuple[Step, ...] = ()
    by_hand: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, system: str) -> tuple[str, ...]:
        """Return `commands` as lines for the shells of `system`."""
        return tuple(command_line(words, system) for words in self.commands)


def choices(host: Host) -> tuple[Choice, ...]:
    """Return what can be chosen on a machine: each target of its devices, cards before what is in the processor.

    Of one vendor's devices with several targets, a build for all of them is the last choice.
    """
    found: dict[Target, Device] = {}
    for device in sorted(host.devices, key=_worth):
        target = _target(device)
        if target is not None:
            found.setdefault(target, device)
    single = [Choice(targets=(target,), name=device.name) for target, device in found.items()]
    together = [detected_targets(host, backend) for backend in VENDOR_BACKEND.values()]
    return (*single, *(Choice(targets=targets, name="one build for all") for targets in together if len(targets) > 1))


def _worth(device: Device) -> tuple[int, int, int, str]:
    order = {False: 0, None: 1, True: 2}
    memory = device.vram_mib or 0
    return order[device.integrated], -memory, device.index if device.index is not None else 0, device.name


def _target(device: Device) -> Target | None:
    if not device.usable or device.vendor not in VENDOR_BACKEND:
        return None
    try:
        (found, *_) = parse_target(device.target or "")
    except (UnknownNameError, InvalidInputError):  # the probe has warned of it
        return None
    return Target(found.platform, found.chip, found.suffix)


def unclear(host: Host) -> tuple[str, ...]:
    """Return the names of NVIDIA and AMD devices whose target nobody could tell."""
    open_ones = (one for one in host.devices if one.vendor in VENDOR_BACKEND and one.usable and _target(one) is None)
    return tuple(sorted({one.name for one in open_ones}))


def named(targets: tuple[Target, ...], name: str = "") -> Choice:
    """Return the choice for targets that somebody named, perhaps by a card's name; () means the CPU."""
    if not targets:
        return Choice(targets=(), name="no GPU, the CPU only")
    if len(targets) > 1:
        return Choice(targets=targets, name="one build for all")
    return Choice(targets=targets, name=name or products_of(targets[0]) or "a card")


def rungs_of(choice: Choice, host: Host, request: Request, served: Served | None = None) -> tuple[Rung, ...]:
    """Return the ladder of a choice."""
    if len(choice.targets) == 1:
        return ladder(choice.targets[0], host, request, served)
    return ladder_for_all(choice.targets, host, request)


def check(rung: Rung) -> None:
    """Make sure that a way can be gone.

    Raises:
        IncompatibleError: it does not hold.
    """
    title = TITLES[rung.step]
    if rung.state == "no" and not needs_path(rung):
        what = f"This way does not work here: {title}."
        raise IncompatibleError(what, why=_sentence(rung.reason), hint="Choose another way.")


def needs_path(rung: Rung) -> bool:
    """Whether somebody has to say first where the binary is."""
    if rung.step == "retarget":
        return rung.state == "unproved"
    return rung.step == "served" and (not rung.path or rung.state == "no")


def script(rung: Rung, choice: Choice, host: Host) -> Script:
    """Return what a way comes to on a machine."""
    if rung.step == "served":
        note = "Nothing has to be built." if rung.state == "yes" else "Try it: reading alone does not settle this one."
        return Script(commands=(("gpubuild", "inspect", rung.path, "--for", str(choice.targets[0])),), notes=(note,))
    if rung.step == "override":
        return Script(by_hand=(rung.command,), notes=(f"Start the program from that shell. Risk: {rung.risk}.",))
    if rung.step == "retarget":
        note = "Put the result in the place of the old files, and keep those: gpubuild retarget --undo takes it back."
        return Script(commands=(rung.argv,), notes=(note, f"Risk: {rung.risk}."))
    here = set(detected_targets(host, "cuda")) | set(detected_targets(host, "rocm"))
    notes: list[str] = []
    commands = [rung.argv]
    if rung.step == "cpu" or here.issuperset(choice.targets):
        commands.append(("gpubuild", "verify", "dist"))
    else:
        notes.append("The card is not in this machine: carry dist/ to it, and there run gpubuild verify dist.")
    if rung.step != "cpu":
        notes.append(FOR_OLLAMA)
    return Script(first=rung.first, commands=tuple(commands), notes=tuple(notes))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].removesuffix(".") + "."
