"""The words of ``gpubuild matrix``'s options, checked before anything is computed."""

from __future__ import annotations

from typing import cast

from buildtool.compat.case import BACKENDS
from buildtool.compat.model import Backend
from buildtool.compat.targets import split_list
from buildtool.compat.versions import Release, suggest
from buildtool.errors import InvalidInputError, UnknownNameError

PROFILES = ("portable", "minimal")


def backend_names(option: str, text: str | None, allowed: tuple[str, ...] = BACKENDS) -> tuple[Backend, ...]:
    """Read a list of backends; () where the option was left out.

    Raises:
        UnknownNameError: there is no such backend, or it does not fit here.
        InvalidInputError: the list is empty.
    """
    if text is None:
        return ()
    words = split_list([text.lower()])
    if not words:
        what = f"{option} is empty."
        raise InvalidInputError(what, hint=f"Choose from {', '.join(allowed)}, or leave it out.")
    for word in words:
        if word not in allowed:
            near = suggest(word, allowed)
            what = f"{option} takes no {word!r}."
            hint = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(allowed)}."
            raise UnknownNameError(what, hint=hint)
    return cast("tuple[Backend, ...]", tuple(dict.fromkeys(words)))


def system_names(text: str | None) -> tuple[str, ...]:
    """Read a list of systems; the default where the option was left out.

    Raises:
        InvalidInputError: the list is empty, or mixes this machine with others.
    """
    words = tuple(dict.fromkeys(split_list([text]))) if text is not None else ("linux-x86_64",)
    if not words:
        what = "--os is empty."
        raise InvalidInputError(what, hint="Name systems such as linux-x86_64, or leave it out.")
    if "here" in words and len(words) > 1:
        what = "--os here is this machine alone."
        raise InvalidInputError(what, hint="Leave the other systems out, or leave here out.")
    return words


def profile_name(text: str) -> str:
    """Read a profile that makes wheels for other machines.

    Raises:
        UnknownNameError: there is no such profile, or its wheels do not travel.
    """
    if text.lower() in PROFILES:
        return text.lower()
    what = f"A matrix has no profile {text!r}."
    why = "Wheels of profile native do not travel." if text.lower() == "native" else ""
    raise UnknownNameError(what, why=why, hint=f"Choose from {', '.join(PROFILES)}.")


def version(option: str, text: str | None) -> str:
    """Read a version; "" where the option was left out.

    Raises:
        InvalidInputError: it is none.
    """
    if text is None:
        return ""
    if Release.read(text) is None:
        what = f"{option} {text!r} is no version."
        raise InvalidInputError(what, hint="Write it like 2.36 or 550.54.")
    return text
