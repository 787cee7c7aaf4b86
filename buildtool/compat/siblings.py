"""Which AMD processors run the same instructions: LLVM's list of generic targets and their restrictions."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

from buildtool.compat.tables import Row, decode_table
from buildtool.compat.targets import parse_target
from buildtool.errors import IncompatibleError, InvalidInputError


class Restriction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is not the same on all members; `targets` is empty where LLVM names none."""

    what: str
    targets: tuple[str, ...]


class Generic(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A generic target with its members; the fields are described at the head of ``amd_siblings.toml``."""

    name: str
    targets: tuple[str, ...]
    restriction: tuple[Restriction, ...] = ()


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    generic: tuple[Generic, ...]


@functools.cache
def generics() -> tuple[Generic, ...]:
    """Return LLVM's generic targets.

    Raises:
        DataError: the table is damaged.
    """
    text = resources.files("buildtool.compat").joinpath("data", "amd_siblings.toml").read_text("utf-8")
    return decode_table(text, _Table, "amd_siblings.toml").generic


def identical(chip: str) -> tuple[str, ...]:
    """Return the other processors that run the same instructions, as far as LLVM promises it."""
    for group in generics():
        if chip in group.targets and not group.restriction:
            return tuple(name for name in group.targets if name != chip)
    return ()


def require_identical(source: str, target: str) -> tuple[str, str]:
    """Return the two processors' names if code for one may be given the other's name.

    Raises:
        UnknownNameError: nobody knows one of the targets.
        InvalidInputError: they are no two AMD processors.
        IncompatibleError: their instructions are not all the same; names the difference.
    """
    (old, *_), (new, *_) = parse_target(source), parse_target(target)
    if old.platform != "rocm" or new.platform != "rocm":
        what = f"{source} to {target}: only AMD code can be retargeted."
        hint = "NVIDIA's code loads by compute capability; see gpubuild inspect PATH --for TARGET."
        raise InvalidInputError(what, hint=hint)
    if old.features or new.features or old.chip.endswith("-generic") or new.chip.endswith("-generic"):
        what = f"{source} to {target}: name two processors, without features, such as gfx1030 and gfx1032."
        raise InvalidInputError(what, why="xnack and sramecc stay what they were; generic code needs no retargeting.")
    if old.chip == new.chip:
        what = f"The code is to be made for {new.chip} and is for {old.chip} already."
        raise InvalidInputError(what)
    if new.chip not in identical(old.chip):
        raise _refusal(old.chip, new.chip)
    return old.chip, new.chip


def _refusal(old: str, new: str) -> IncompatibleError:
    what = f"Code for {old} cannot be made code for {new}: their instructions are not all the same."
    group = next((one for one in generics() if {old, new} <= set(one.targets)), None)
    if group is None:
        why = f"LLVM knows no generic target that {old} and {new} share."
    else:
        parting = [one for one in group.restriction if (old in one.targets) != (new in one.targets)]
        shown = parting or group.restriction
        words = "; ".join(f"{one.what}{f' ({_names(one.targets)})' if one.targets else ''}" for one in shown)
        why = f"LLVM restricts {group.name}: {words}."
    donors = identical(new)
    hint = f"{new} takes code of {_names(donors)}." if donors else f"Compile for it: gpubuild compile --target {new}"
    return IncompatibleError(what, why=why, hint=hint)


def _names(targets: tuple[str, ...]) -> str:
    return ", ".join(targets)
