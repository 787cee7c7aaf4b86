"""Names of device targets: parse what people write, normalise it, render what CMake wants.

A target is written ``sm_90``, ``sm_90a`` or ``gfx1032``, ``gfx90a:xnack-``, ``gfx10-3-generic``. People also write
``90``, ``9.0``, ``90a-real``, ``SM90``, and family shorthands such as ``gfx103X`` that stand for several targets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from buildtool.compat import tables
from buildtool.compat.versions import suggest
from buildtool.errors import InvalidInputError, UnknownNameError

Platform = Literal["cuda", "rocm"]
_CUDA = re.compile(r"^(?:(?:sm|compute)[_-]?|cc)?(?P<number>\d{2,3}|\d{1,2}\.\d)(?P<suffix>[af]?)(?P<kind>-real)?$")
_VIRTUAL = re.compile(r"^(?:sm_?|compute_?)?\d{2,3}[af]?-virtual$|^compute_?\d{2,3}[af]?$")
_AMD = re.compile(r"^(?P<chip>gfx(?:\d{1,2}(?:-\d)?-generic|\d{2,3}[0-9a-f]))(?P<features>(?::[a-z]+[+-])*)$")
_FAMILY = re.compile(r"^(?P<prefix>gfx\d{2,3})x(?:-(?P<part>all|dgpu|igpu))?$")
_SPLIT = re.compile(r"[;,\s]+")
FEATURES = ("sramecc", "xnack")


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device target in its parts.

    Attributes:
        platform: ``cuda`` or ``rocm``.
        chip: ``sm_90`` or ``gfx90a``: the name without suffix or features.
        suffix: ``a`` (this chip only) or ``f`` (its family), CUDA only.
        features: such as ``("xnack-",)``, AMD only, in LLVM's order.
    """

    platform: Platform
    chip: str
    suffix: str = ""
    features: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.features:
            return self.chip + self.suffix
        return ":".join((self.chip, *self.features))

    @property
    def order(self) -> tuple[str, int, str]:
        """Sort key: by platform, by number, by name."""
        digits = re.sub(r"\D", "", self.chip)
        number = int(digits) if self.platform == "cuda" else int(self.chip[3:].split("-")[0], 16)
        return (self.platform, number, str(self))


def split_list(values: Iterable[str]) -> tuple[str, ...]:
    """Split repeated options, each perhaps a list with ``;`` or ``,``, into single words."""
    return tuple(word for value in values for word in _SPLIT.split(value.strip()) if word)


def parse_target(text: str) -> tuple[Target, ...]:
    """Read one word; a family shorthand gives several targets.

    Raises:
        UnknownNameError: nobody knows such a target; says what was probably meant.
        InvalidInputError: it names PTX (``90-virtual``), which gpubuild does not ship.
    """
    word = text.strip().lower()
    if _VIRTUAL.match(word):
        what = f"{text!r} asks for PTX; gpubuild ships device code for exactly the targets it plans."
        name = "sm_" + re.sub(r"\D", "", word)
        raise InvalidInputError(what, hint=f"Use {name}, and add the targets of the other cards: --target {name}.")
    if word.startswith("gfx"):
        return _parse_amd(word, text)
    found = _CUDA.match(word)
    if found is None:
        raise _unknown(text)
    target = Target("cuda", "sm_" + found["number"].replace(".", ""), found["suffix"])
    if str(target) not in known_cuda():
        raise _unknown(text)
    return (target,)


def parse_targets(values: Iterable[str]) -> tuple[Target, ...]:
    """Read a list of targets; the result is sorted and free of doubles, so the order given never matters."""
    found = {target for word in split_list(values) for target in parse_target(word)}
    return tuple(sorted(found, key=lambda target: target.order))


def known_cuda() -> frozenset[str]:
    """Return every CUDA target that some toolkit knows."""
    return frozenset(name for toolkit in tables.cuda_toolkits() for name in toolkit.targets)


def known_amd() -> frozenset[str]:
    """Return every AMD target and generic target."""
    rows = tables.amd_targets().values()
    return frozenset(row.name for row in rows) | frozenset(row.generic for row in rows if row.generic)


def _parse_amd(word: str, text: str) -> tuple[Target, ...]:
    family = _FAMILY.match(word)
    if family is not None:
        members = _family_members(family["prefix"], family["part"])
        if members:
            return members
    found = _AMD.match(word)
    if found is None or found["chip"] not in known_amd():
        raise _unknown(text)
    features = tuple(sorted(feature for feature in found["features"].split(":") if feature))
    names = [feature[:-1] for feature in features]
    if len(set(names)) != len(names) or not set(names) <= set(FEATURES):
        what = f"The features of {text!r} are not those of an AMD target."
        raise InvalidInputError(what, hint="Write each once, as gfx90a:sramecc+:xnack-.")
    return (Target("rocm", found["chip"], "", features),)


def _family_members(prefix: str, part: str | None) -> tuple[Target, ...]:
    rows = (row for row in tables.amd_targets().values() if row.name[:-1] == prefix)
    wanted = {"dgpu": False, "igpu": True}
    return tuple(Target("rocm", row.name) for row in rows if part not in wanted or row.apu is wanted[part])


def _unknown(text: str) -> UnknownNameError:
    word = text.strip().lower()
    if word.startswith("gf"):
        near = suggest(word, known_amd())
    else:
        digits = re.sub(r"[^0-9af]", "", word.removeprefix("sm").removeprefix("compute"))
        near = [f"gfx{word}"] if f"gfx{word}" in known_amd() else suggest(f"sm_{digits}", known_cuda())
    what = f"Nobody knows a target {text!r}."
    hint = f"Did you mean {' or '.join(near)}?" if near else "Write it like sm_90 (NVIDIA) or gfx1032 (AMD)."
    return UnknownNameError(what, hint=hint)


def cmake_cuda(target: Target) -> str:
    """Render a target for ``CMAKE_CUDA_ARCHITECTURES``: device code for it and no PTX (``90-real``)."""
    return f"{target.chip.removeprefix('sm_')}{target.suffix}-real"


def label(targets: Iterable[Target]) -> str:
    """Join targets into one word of letters and digits, for a wheel's local version."""
    return "".join(re.sub(r"[^a-z0-9]", "", _feature_letters(str(target))) for target in targets)


def _feature_letters(name: str) -> str:
    return name.replace("+", "on").replace("-generic", "g").replace("-", "off" if ":" in name else "")
