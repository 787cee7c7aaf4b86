"""The options that say what to build, shared by ``plan`` and ``compile``, and how they become a Plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from buildtool.errors import InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from buildtool.compat.model import Backend, Plan, Profile, Request, RuntimeMode
    from buildtool.source.ollama import OllamaTree

PANEL = "What to build"
BASES = ("detected", "recipe")
PROFILES = ("portable", "native", "minimal")
RUNTIMES = ("pip", "bundle", "system")

BackendOption = Annotated[
    str | None,
    typer.Option("--backend", metavar="auto|cuda|rocm|vulkan|cpu", help="Default: auto.", rich_help_panel=PANEL),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="T[;T...]", help="Exactly these targets; repeatable.", rich_help_panel=PANEL),
]
ForDeviceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--for-device",
        metavar="CARD",
        help='The target of this card, by name: "RX 6600"; repeatable.',
        rich_help_panel=PANEL,
    ),
]
AddTargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--add-target", metavar="T[;T...]", help="These beside the base list; repeatable.", rich_help_panel=PANEL
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base", metavar="detected|recipe", help="Base list: this machine's devices, or upstream's full list.",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
ToolkitOption = Annotated[
    str | None, typer.Option("--toolkit", metavar="SPEC", help='Such as "cuda==13.*".', rich_help_panel=PANEL)
]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help="Default: llama.cpp.", rich_help_panel=PANEL)
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source", metavar="NAME|PATH|URL", help="A source of the recipe, a tree, a git URL#tag, or an archive.",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="portable|native|minimal", rich_help_panel=PANEL,
                             help="Default: portable.")
]  # fmt: skip
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime", metavar="pip|bundle|system", help="How the vendor's libraries travel; chosen if left out.",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
ThinVendorOption = Annotated[
    bool,
    typer.Option(
        "--thin-vendor", rich_help_panel=PANEL,
        help="With --runtime bundle: cut NVIDIA's libraries to the targets. For your own machine: not to be passed on.",
    ),
]  # fmt: skip
InsideOption = Annotated[
    str | None,
    typer.Option(
        "--in", metavar="docker://IMAGE", help="Build in this container image, with what is installed in it.",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
ManylinuxOption = Annotated[
    str | None,
    typer.Option(
        "--manylinux", metavar="2_31", help="Compile in an old system, so that the wheels run with this C library.",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
LockOption = Annotated[
    Path | None,
    typer.Option("--lock", metavar="FILE", help="Take the plan from this lock file.", rich_help_panel=PANEL),
]


class Wish(dict[str, object]):
    """The options as given: name to value, None or () where left out."""


def make_request(wish: Wish) -> Request:
    """Turn options into a Request; what is left out keeps its default.

    Raises:
        UnknownNameError: a base, profile or runtime mode nobody knows.
        InvalidInputError: a source path that does not exist, or an empty list of targets.
    """
    from buildtool.compat.model import Request
    from buildtool.compat.targets import split_list

    def text(name: str, default: str) -> str:
        return str(wish.get(name) or default)

    def words(name: str) -> tuple[str, ...]:
        values = cast("list[str]", wish.get(name) or ())
        found = split_list(values)
        if values and not found:
            what = f"--{name.replace('_', '-')} is empty."
            raise InvalidInputError(what, hint="Name a target, such as sm_90 or gfx1032, or leave the option out.")
        return found

    cards = cast("list[str]", wish.get("for_device") or ())
    if cards:
        from buildtool.compat.devices import card_targets

        exact = tuple(str(target) for card in cards for target in card_targets(card))
    else:
        exact = ()
    source = wish.get("source")
    return Request(
        backend=cast("Backend", text("backend", "auto").lower()),
        targets=(*words("target"), *exact),
        add_targets=words("add_target"),
        base="recipe" if _known("base", text("base", "detected"), BASES) == "recipe" else "detected",
        toolkit=str(wish["toolkit"]) if wish.get("toolkit") else None,
        recipe=text("recipe", "llama.cpp"),
        source=absolute_source(str(source), text("recipe", "llama.cpp")) if source else None,
        profile=cast("Profile", _known("profile", text("profile", "portable"), PROFILES)),
        runtime=cast("RuntimeMode", _known("runtime", text("runtime", "pip"), RUNTIMES)),
        thin_vendor=bool(wish.get("thin_vendor")),
        inside=str(wish["in"]) if wish.get("in") else None,
        manylinux=str(wish["manylinux"]) if wish.get("manylinux") else None,
    )


def make_plan(wish: Wish, lock: Path | None, host: Path | None = None, replay: list[str] | None = None) -> Plan:
    """Return the plan that a lock file holds, or resolve the wish for a machine: this one, or a recorded one.

    Raises:
        InvalidInputError: both a lock file and a wish.
        GpubuildError: as `buildtool.compat.resolve` and `buildtool.compat.lock.load_lock`.
    """
    if lock is not None:
        options = {**wish, "host": host, "replay": replay}
        given = sorted("--" + name.replace("_", "-") for name, value in options.items() if value)
        if given:
            what = f"A lock file decides everything; {', '.join(given)} cannot change it."
            raise InvalidInputError(what, hint="Leave --lock out, or leave the other options out.")
        from buildtool.compat.lock import load_lock

        return load_lock(lock)
    request = make_request(wish)
    _refuse_ollama(request)
    from buildtool.cli.machine import find_host
    from buildtool.compat import resolve

    return resolve(request, find_host(host, replay, inside=request.inside))


def ollama_checkout(source: str | None) -> OllamaTree | None:
    """Return the checkout of Ollama that a source is; None where it is none."""
    from buildtool.source.ollama import recognise
    from buildtool.store.paths import expanded

    place = expanded(source).absolute() if source else None
    return recognise(place) if place is not None and place.is_dir() else None


def _refuse_ollama(request: Request) -> None:
    """Tell somebody who plans a checkout of Ollama what leads on from there.

    Raises:
        InvalidInputError: it is one.
    """
    from buildtool.source.ollama import refuse

    tree = ollama_checkout(request.source)
    if tree is not None:
        raise refuse(tree, request.backend, request.targets)


def _known(option: str, value: str, names: tuple[str, ...]) -> str:
    if value.lower() in names:
        return value.lower()
    from buildtool.compat.versions import suggest

    near = suggest(value.lower(), names)
    what = f"There is no --{option} {value!r}."
    raise UnknownNameError(what, hint=f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(names)}.")


def absolute_source(source: str, recipe: str = "llama.cpp") -> str:
    """Make a path to a local tree absolute; names of the recipe's sources and URLs stay as they are.

    Raises:
        InvalidInputError: there is no such folder.
    """
    from buildtool.compat.recipes import load_recipe
    from buildtool.compat.sources import is_path
    from buildtool.store.paths import resolved

    if not is_path(source, load_recipe(recipe)):
        return source
    path = resolved(source)
    if not path.is_dir():
        what = f"There is no directory {source!r} to take the source from."
        raise InvalidInputError(what, hint="Name a tree, a source of the recipe, a git URL#tag, or an archive URL.")
    return str(path)
