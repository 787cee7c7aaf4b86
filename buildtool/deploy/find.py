"""Finds every installation of Ollama on a machine."""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.deploy.facts import Layout, Place, facts
from buildtool.deploy.packages import owner
from buildtool.deploy.site import Site
from buildtool.deploy.units import find_units
from buildtool.errors import GpubuildError, InvalidInputError

ASK_S = 10.0
UNKNOWN = "a layout that gpubuild does not know"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A program with its libraries; the fields are those of `buildtool.deploy.model.Installation`."""

    prefix: str
    program: str
    libraries: str
    kind: str
    package: str = ""
    package_version: str = ""
    writable: bool = True
    why: str = ""


def find(site: Site, prefix: str | None = None) -> tuple[Found, ...]:
    """Return the installations of a machine, each once, or the one below `prefix`.

    Raises:
        InvalidInputError: there is none below `prefix`.
    """
    if prefix is not None:
        return (_below(site, prefix),)
    found: dict[str, Found] = {}
    for program, place in _programs(site):
        real = site.real(program)
        if site.path(real).is_file() and real not in found:
            found[real] = _described(site, real, place)
    return tuple(found.values())


def _below(site: Site, prefix: str) -> Found:
    name = site.program
    prefix = site.join(str(Path.cwd()), prefix) if site.here else prefix
    inside = [site.join(prefix, "bin", name), site.join(prefix, name), site.join(prefix, "..", "..", "bin", name)]
    for program in (prefix, *inside):
        if site.path(program).is_file():
            return _described(site, site.real(program), _place_of(site, program))
    what = f"There is no Ollama below {prefix}."
    looked = ", ".join(inside[:2])
    raise InvalidInputError(what, why=f"Looked for {looked}.", hint="Name the folder that holds bin/ollama.")


def _programs(site: Site) -> Iterator[tuple[str, Place | None]]:
    """Yield programs: what units start, what PATH finds, and the usual places."""
    for program in (*_started(site), *_on_path(site)):
        yield program, _place_of(site, program)
    for place in facts().places:
        folders = (site.matches(pattern) for pattern in place.folders if place.system == site.system)
        for folder in itertools.chain.from_iterable(folders):
            yield from ((program, place) for program in _inside(site, folder, place))


def _started(site: Site) -> Iterator[str]:
    for row in facts().units if site.system == "linux" else ():
        for unit in find_units(site, row.folders):
            if unit.program and site.pure(unit.program).name == site.program:
                yield unit.program


def _on_path(site: Site) -> Iterator[str]:
    folders = site.environ.get("PATH", "").split(os.pathsep) if site.here else []
    programs = (Path(folder) / site.program for folder in folders if folder)
    return (str(program) for program in programs if program.is_file())


def _inside(site: Site, folder: str, place: Place) -> Iterator[str]:
    for program in (site.join(folder, site.program), site.join(folder, "bin", site.program)):
        if site.path(program).is_file() and (place.flat or site.pure(program).parent.name == "bin" or folder != "/usr"):
            yield program


def _place_of(site: Site, program: str) -> Place | None:
    """Return the place that a program lies in, by its name and by what its links lead to."""
    names = {program, site.real(program)}
    if any("/nix/store/" in name for name in names):
        return next(row for row in facts().places if row.kind == "nix")
    for place in facts().places:
        folders = [folder for pattern in place.folders for folder in site.matches(pattern)]
        if place.system == site.system and any(site.is_below(name, folder) for name in names for folder in folders):
            return place
    return None


def _described(site: Site, program: str, place: Place | None) -> Found:
    libraries = _libraries(site, program)
    package, version = owner(site, program)
    kind = place.kind if place is not None else "prefix"
    folder = site.pure(program).parent
    flat = place.flat if place is not None else folder.name != "bin"
    return Found(
        prefix=str(folder if flat else folder.parent),
        program=program,
        libraries=libraries,
        kind="package" if package and kind == "prefix" else kind,
        package=package,
        package_version=version,
        writable=place.writable if place is not None else True,
        why=place.why if place is not None else "",
    )


def _libraries(site: Site, program: str) -> str:
    """Return where the libraries stand, in Ollama's own order; the first choice when there are none."""
    folder = str(site.pure(program).parent)
    places = [site.join(folder, *name.split("/")) for row in facts().libraries for name in row.folders]
    for place in places:
        if site.path(place).is_dir() and (place != folder or layout_of(site, place) is not None):
            return place
    return places[0]


def layout_of(site: Site, libraries: str) -> Layout | None:
    """Return the generation of layout that a lib/ollama has; None when no known one fits."""
    names = site.names(libraries)
    for row in facts().layouts:
        if any(fnmatch.filter(names, pattern) for pattern in row.files):
            return row
    return None


def may_write(site: Site, folder: str) -> bool:
    """Say whether this user may put something into a folder, or into its nearest parent that exists."""
    place = site.path(folder)
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK)


def containers() -> tuple[str, ...]:
    """Return notes about containers that run Ollama; they are left alone."""
    notes = []
    for engine in ("docker", "podman"):
        try:
            done = process.run((engine, "ps", "--format", "{{.Names}}\t{{.Image}}"), timeout_s=ASK_S, check=False)
        except GpubuildError:
            continue
        rows = (line.split("\t") for line in done.output.splitlines() if done.returncode == 0)
        notes += [
            f"the container {row[0]} runs {row[1]}: its files belong to the image and are left alone"
            for row in rows
            if len(row) == 2 and "ollama" in row[1]  # noqa: PLR2004 - name and image
        ]
    return tuple(notes)
