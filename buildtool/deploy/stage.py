"""Makes a complete new runner folder in a place of our own: module, libraries, rocBLAS tables, and a mark."""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from buildtool import codeobj
from buildtool.deploy.facts import Library, facts
from buildtool.deploy.model import Installation
from buildtool.deploy.runners import MARK
from buildtool.deploy.site import Site
from buildtool.deploy.ways import Way
from buildtool.errors import IncompatibleError, InvalidInputError, MissingToolError
from buildtool.runtime.closure import needed
from buildtool.store.archive import unpack
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree

OURS = "_gpubuild"
#: What every Linux has: the C library and its like. A module may need these without bringing them.
SYSTEM = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "ld-linux", "libgcc_s", "libstdc++")
#: What only a driver brings, or the loader of its interface.
DRIVER = ("libcuda.so", "libnvidia-ml.so", "libvulkan.so")


class Staged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a way comes to: a folder that waits to be put into place, and variables.

    Attributes:
        runner: the name that the folder shall have, "" for none.
        folder: where it waits.
        module: the backend module in it.
        env: variables that the service needs.
        notes: what is special.
    """

    runner: str = ""
    folder: str = ""
    module: str = ""
    env: dict[str, str] = {}
    notes: tuple[str, ...] = ()


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of ours says about itself, for people who find it."""

    made_by: str
    method: str
    target: str
    donor: str
    built: str
    ollama: str
    llama_cpp: str
    words: str = "Made by gpubuild ollama enable; gpubuild ollama restore takes it away."


def stage_retargeted(one: Installation, way: Way, chip: str, out: Path, progress: Progress, site: Site) -> Staged:
    """Make a sibling's folder one for `chip`: a thinned copy with other names, everything else as it was.

    Raises:
        GpubuildError: see `buildtool.codeobj.retarget`.
    """
    donor = next(runner for runner in one.runners if runner.name == way.donor)
    outcome = codeobj.retarget(site.path(donor.path), way.chip, chip, out, thinned=True, progress=progress)
    _mark(out, one, method="retarget", target=chip, donor=donor.name, built="")
    name = f"{base_name(donor.name)}{OURS}_{chip}"
    return Staged(runner=name, folder=str(out), module=donor.module, notes=outcome.notes)


def stage_built(one: Installation, library: str, target: str, built: Path, out: Path, site: Site) -> Staged:
    """Make a folder of a backend that was built before: a wheel, a folder, or the module itself.

    Raises:
        InvalidInputError: there is no module for the library in it.
        IncompatibleError: the module holds no code for the target.
        MissingToolError: a library that it needs is nowhere to be found.
    """
    row = facts().library(library)
    out.mkdir(parents=True)
    module = _take(built, row, out)
    _require_code(out / module, row, target)
    donors = [runner for runner in one.runners if runner.library == row.name and not runner.ours]
    notes = _complete(out, module, site.path(one.libraries), [site.path(runner.path) for runner in donors])
    _mark(out, one, method="compile", target=target, donor="", built=built.name)
    base = base_name(max((runner.name for runner in donors), default=row.folders[0].rstrip("_")))
    name = f"{base}{OURS}" + ("" if row.name == "Vulkan" else f"_{target.replace('sm_', 'sm').replace(':', '_')}")
    return Staged(runner=name, folder=str(out), module=module, notes=notes)


def base_name(folder: str) -> str:
    """Return a folder's name without what gpubuild added to it."""
    return folder.partition(OURS)[0]


def _take(built: Path, row: Library, out: Path) -> str:
    """Copy the module and the libraries beside it; return the module's name."""
    if not built.exists():
        what = f"There is no {built}."
        raise InvalidInputError(what, hint="--from names a backend wheel, a folder, or the module itself.")
    if built.suffix == ".whl":
        return _from_wheel(built, row, out)
    folder = built if built.is_dir() else built.parent
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    module = built.name if built.is_file() else _module(names, row)
    if not module or not any(fnmatch.fnmatchcase(module, pattern) for pattern in row.modules):
        raise _nothing(built, row)
    wanted = [module, *_closure(folder, module)]
    for name in wanted:
        shutil.copyfile(folder / name, out / name)
        out.joinpath(name).chmod(0o755)
    return module


def _closure(folder: Path, module: str) -> list[str]:
    """Return the libraries beside a module that it loads, directly or through another, but not ggml's own."""
    found: list[str] = []
    pending = list(needed(folder / module))
    while pending:
        name = pending.pop()
        if name not in found and not name.startswith("libggml") and (folder / name).is_file():
            found.append(name)
            pending += needed(folder / name)
    return found


def _from_wheel(wheel: Path, row: Library, out: Path) -> str:
    """Unpack the folder that holds the module, through the door of all archives: a wheel may come from anywhere."""
    draft = out.with_name(f"{out.name}.unpacked")
    draft.mkdir()
    try:
        unpack(wheel, draft, wanted=lambda name: "/lib/" in name)
        folders = sorted(one for one in draft.glob("*/lib") if one.is_dir())
        held = ((folder, _module([one.name for one in folder.iterdir()], row)) for folder in folders)
        folder, module = next(((folder, module) for folder, module in held if module), (draft, ""))
        if not module:
            raise _nothing(wheel, row)
        for one in sorted(folder.iterdir()):
            one.rename(out / one.name)
    finally:
        delete_tree(draft)
    for one in out.rglob("*.so*"):
        if not one.is_symlink():
            one.chmod(0o755)
    return module


def _module(names: Iterable[str], row: Library) -> str:
    names = sorted(names)
    return next((name for pattern in row.modules for name in fnmatch.filter(names, pattern)), "")


def _nothing(built: Path, row: Library) -> InvalidInputError:
    what = f"{built} holds no ggml module for {row.name}."
    return InvalidInputError(
        what, why=f"Looked for {' or '.join(row.modules)}.", hint="Name a backend wheel or folder."
    )


def _require_code(module: Path, row: Library, target: str) -> None:
    """Refuse a module that Ollama, or the card, would refuse."""
    if row.name == "Vulkan":
        return
    held = codeobj.inspect(module).targets
    if _plain(target) not in map(_plain, held):
        what = f"{module.name} holds no code for {target}."
        hint = f"gpubuild compile --backend {row.backend} --target {target}"
        raise IncompatibleError(what, why=f"It holds {' '.join(held) or 'none'}.", hint=hint)


def _plain(target: str) -> str:
    """Return what counts for Ollama's rules: the processor of an AMD card, or the number in ARCHS, cubin or PTX."""
    number = re.fullmatch(r"(?:sm|compute)_(\d+)[af]?", target)
    return number[1] if number is not None else target.partition(":")[0]


def _complete(out: Path, module: str, libraries: Path, donors: list[Path]) -> tuple[str, ...]:
    """Link what the module needs and does not bring: ggml's base, and the vendor's libraries of Ollama's own runner.

    Raises:
        MissingToolError: something is nowhere.
    """
    notes, lacking = [], []
    pending, seen = list(needed(out / module)), set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name.startswith((*SYSTEM, *DRIVER)):
            continue
        seen.add(name)
        if (out / name).exists():
            pending += needed(out / name)
        elif (found := _elsewhere(name, libraries, donors)) is None:
            lacking.append(name)
        elif found.parent != libraries or found.name != name:
            (out / name).symlink_to(found)
            notes.append(f"{name}: that of {found.parent.name}")
    if lacking:
        what = f"{module} needs {', '.join(sorted(lacking))}, which is nowhere to be found."
        raise MissingToolError(what, hint="Build it with --runtime bundle, or name a folder that holds the libraries.")
    return tuple(notes)


def _elsewhere(name: str, libraries: Path, donors: list[Path]) -> Path | None:
    exact = (folder / name for folder in (libraries, *donors))
    stem = name.partition(".so")[0]
    alike = sorted(libraries.glob(f"{stem}.so*")) if name.startswith("libggml") else []
    return next((path for path in (*exact, *alike) if path.exists()), None)


def _mark(out: Path, one: Installation, *, method: str, target: str, donor: str, built: str) -> None:
    from buildtool import __version__

    mark = Mark(
        made_by=f"gpubuild {__version__}",
        method=method,
        target=target,
        donor=donor,
        built=built,
        ollama=one.version.value or "",
        llama_cpp=one.llama_cpp.value or "",
    )
    (out / MARK).write_bytes(msgspec.json.format(msgspec.json.encode(mark), indent=1) + b"\n")
