"""Lays a bundle out as it will lie beside the module: libraries by their sonames, their data, their licences."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from buildtool.codeobj import understands
from buildtool.errors import BuildError
from buildtool.runtime import device
from buildtool.runtime.closure import Closure, Folder, Found, needed
from buildtool.runtime.facts import unpacks, whole
from buildtool.runtime.hollow import hollow
from buildtool.runtime.ladder import choose
from buildtool.runtime.model import Rung, RuntimeSet, VendorData, VendorLibrary
from buildtool.runtime.origin import Origin, Provenance
from buildtool.runtime.rpath import BESIDE, look_beside, runpath
from buildtool.runtime.spare import spare
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree, readable_size, require_space, tree_size

LIBRARIES = "lib"
TEXTS = "licences"
WORK = "work"
RECORDS = "manifests"
CUT = "NVIDIA's libraries in here were cut down to the targets. NVIDIA's licence forbids passing them on like that."
PACKED = "The device code is compressed as clang does it; HIP unpacks it when it loads it."


def chosen_rungs(closed: Closure, targets: Sequence[str]) -> tuple[tuple[Rung, ...], frozenset[str]]:
    """Return how the vendor's device code serves the targets, and the names of the parts that hold some.

    Raises:
        IncompatibleError: a target cannot be served.
    """
    libraries = {one.soname: found for one in closed.libraries if (found := device.in_library(one.path)) is not None}
    folders = {one.name: found for one in closed.folders if (found := device.in_folder(one)) is not None}
    if not libraries and not folders:
        return (), frozenset()
    held = _common(one.processors for one in libraries.values())
    by_name = _common(one.processors for one in folders.values()) if folders else None
    whose = " and ".join(sorted(libraries) or sorted({one.opened_by for one in closed.folders}))
    everything = held if libraries else by_name or frozenset()
    return choose(targets, everything, by_name, whose), frozenset([*libraries, *folders])


def _common(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    found = list(sets)
    return frozenset.intersection(*found) if found else frozenset()


def require_text(path: Path, known: Provenance | None) -> Provenance:
    """Return what is known of a file that shall travel.

    Raises:
        BuildError: it has no licence text, so it must not be copied.
    """
    if known is not None and known.licences:
        return known
    what = f"No licence text was found for {path.name}, so it cannot be bundled."
    why = f"It is {path}, of {known.package if known and known.package else 'no package that is known'}."
    hint = (
        "Put the vendor's licence text into the toolkit's folder as EULA.txt, or use --runtime pip or system; "
        "a root filesystem made before: gpubuild toolchain remove."
    )
    raise BuildError(what, why=why, hint=hint)


class Stage:
    """One bundle in the making, in a directory of its own."""

    def __init__(
        self, place: Path, closed: Closure, origin: Origin, progress: Progress, *, cuts_whole: bool = False
    ) -> None:
        self._place, self._closed, self._progress, self._cuts_whole = place, closed, progress, cuts_whole
        self._notes: list[str] = []
        self._changes: dict[str, list[str]] = {one.soname: [] for one in closed.libraries}
        self._known = origin.provenance([*(one.path for one in closed.libraries), *map(_sample, closed.folders)])

    def make(self, targets: Sequence[str]) -> RuntimeSet:
        """Fill the directory.

        Raises:
            BuildError: a library has no licence text, so it must not be copied.
            IncompatibleError: a target cannot be served.
            StorageError: there is not enough space.
        """
        rungs, with_code = chosen_rungs(self._closed, targets)
        texts = self._texts()
        size = sum(one.path.stat().st_size for one in self._closed.libraries)
        require_space(self._place, 2 * size, "the vendor libraries that travel")
        for name in (LIBRARIES, TEXTS, WORK, RECORDS):
            (self._place / name).mkdir(parents=True)
        for one in self._closed.libraries:
            if whole(one.soname) is not None:
                self._copy_whole(one, targets)
            else:
                self._copy(one, WORK if one.soname in with_code else LIBRARIES)
        self._device_code(rungs, with_code)
        for folder in self._closed.folders:
            if folder.name not in with_code:
                shutil.copytree(folder.path, self._place / LIBRARIES / folder.name)
        delete_tree(self._place / WORK)
        _open_up(self._place / LIBRARIES)
        for name, text in texts.items():
            shutil.copyfile(text, self._place / TEXTS / name)
        return self._value(rungs, with_code, tuple(texts))

    def _copy_whole(self, one: Found, targets: Sequence[str]) -> None:
        """Copy a library that has to stay as it is; cut it down where that was asked for, in spite of its licence."""
        target = self._place / LIBRARIES / one.soname
        if self._cuts_whole and device.cut(one.path, targets, target, progress=self._progress):
            self._changes[one.soname].append(f"holds device code for {', '.join(targets)} only")
            self._notes += [CUT] if CUT not in self._notes else []
        else:
            shutil.copyfile(one.path, target)
        target.chmod(0o755)

    def _copy(self, one: Found, folder: str) -> None:
        target = self._place / folder / one.soname
        shutil.copyfile(one.path, target)
        target.chmod(0o755)
        if self._loads_others(one) and runpath(target) != BESIDE:
            look_beside(target)
            self._changes[one.soname].append(f"looks for libraries beside itself (RUNPATH {BESIDE})")
        without = {row.soname: row.path for row in self._closed.spared if row.needed_by == one.soname}
        if without:
            record = spare(target, without)
            self._record(f"spared-{one.soname}", record)
            self._changes[one.soname].append(f"does not need {', '.join(record.without)}")
        if one.soname in self._closed.hollow and (cut := hollow(target)) is not None:
            self._record(f"hollowed-{one.soname}", cut)
            size = readable_size(sum(part.bytes for part in cut.gone))
            self._changes[one.soname].append(f"without clang's precompiled headers ({size})")

    def _record(self, name: str, value: msgspec.Struct) -> None:
        text = msgspec.json.format(msgspec.json.encode(value), indent=1)
        (self._place / RECORDS / f"{name}.json").write_bytes(text + b"\n")

    def _loads_others(self, one: Found) -> bool:
        """Tell whether a library needs or opens another of the bundle."""
        names = {other.soname for other in self._closed.libraries}
        return not names.isdisjoint(needed(one.path)) or any(
            other.needed_by == one.soname for other in self._closed.libraries
        )

    def _device_code(self, rungs: tuple[Rung, ...], with_code: frozenset[str]) -> None:
        if not with_code:
            return
        work, lib = self._place / WORK, self._place / LIBRARIES
        parts = [work / one.soname for one in self._closed.libraries if one.soname in with_code]
        parts += [folder.path for folder in self._closed.folders if folder.name in with_code]
        results = work / "results"
        results.mkdir()
        made, manifests = device.serve(parts, rungs, results, packed=self._packs(), progress=self._progress)
        _open_up(made)
        for one in self._closed.libraries:
            if one.soname in with_code:
                self._changes[one.soname].append(_cut(rungs, packed=self._packs()))
        if self._packs():
            self._notes.append(PACKED)
        for path in made.iterdir():
            path.rename(lib / path.name)
        for path in manifests:
            path.rename(self._place / RECORDS / path.name)

    def _packs(self) -> bool:
        """Tell whether the library that will load the device code reads it compressed."""
        return any(unpacks(one.soname) and understands(one.path) for one in self._closed.libraries)

    def _texts(self) -> dict[str, Path]:
        """Return every licence text under a file name of its own.

        Raises:
            BuildError: a library has none.
        """
        found: dict[str, Path] = {}
        for path in [*(one.path for one in self._closed.libraries), *map(_sample, self._closed.folders)]:
            known = require_text(path, self._known.get(path))
            found[_text_name(known)] = known.licences[0]
            found |= {f"common-{text.name}.txt": text for text in known.licences[1:]}
        return dict(sorted(found.items()))

    def _value(self, rungs: tuple[Rung, ...], with_code: frozenset[str], texts: tuple[str, ...]) -> RuntimeSet:
        lib = self._place / LIBRARIES
        libraries = tuple(
            VendorLibrary(
                soname=one.soname,
                path=str(lib / one.soname),
                bytes=(lib / one.soname).stat().st_size,
                package=self._known[one.path].package,
                version=self._known[one.path].version,
                licence=_text_name(self._known[one.path]),
                rungs=rungs if one.soname in with_code else (),
                needed_by=one.needed_by,
                changes=tuple(self._changes[one.soname]),
            )
            for one in self._closed.libraries
        )
        data = tuple(self._folder(folder, rungs if folder.name in with_code else ()) for folder in self._closed.folders)
        return RuntimeSet(
            mode="bundle",
            root=str(lib),
            libraries=libraries,
            data=data,
            licences=tuple(str(self._place / TEXTS / name) for name in texts),
            left_out=self._closed.left_out,
            rungs=rungs,
            notes=tuple(self._notes),
        )

    def _folder(self, folder: Folder, rungs: tuple[Rung, ...]) -> VendorData:
        path = self._place / LIBRARIES / folder.name
        size, count = tree_size(path)
        known = self._known[_sample(folder)]
        return VendorData(
            name=folder.name,
            path=str(path),
            bytes=size,
            files=count,
            opened_by=folder.opened_by,
            package=known.package,
            version=known.version,
            licence=_text_name(known),
            rungs=rungs,
        )


def _cut(rungs: Iterable[Rung], *, packed: bool) -> str:
    """Say what became of a library's device code."""
    kept = ", ".join(f"{one.target} ({one.donor}'s, renamed)" if one.name == "sibling" else one.target for one in rungs)
    return f"holds device code for {kept} only{', compressed' if packed else ''}"


def _sample(folder: Folder) -> Path:
    """Return one file of a folder: its package is the folder's."""
    return min((path for path in folder.path.rglob("*") if path.is_file()), default=folder.path)


def _text_name(known: Provenance) -> str:
    name = known.package or known.licences[0].stem
    return f"{name}.txt"


def _open_up(tree: Path) -> None:
    """Give files that came out of a read-only store the modes of an installed library."""
    for folder, _, names in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if ".so" in name else 0o644)
