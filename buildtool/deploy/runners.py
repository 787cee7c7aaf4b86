"""The runner folders of an installation, and which device code each holds: read from the binaries."""

from __future__ import annotations

import fnmatch
import re

from buildtool import codeobj
from buildtool.deploy.facts import Library, facts
from buildtool.deploy.model import Runner
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError

MARK = "gpubuild-runner.json"  # in every folder that gpubuild made
LAZY = re.compile(r"TensileLibrary_lazy_(gfx[0-9a-f]+)\.dat")


def find_runners(site: Site, libraries: str) -> tuple[Runner, ...]:
    """Return the folders below lib/ollama, by name; links to folders count, as they do for Ollama."""
    folders = (name for name in site.names(libraries) if site.path(site.join(libraries, name)).is_dir())
    return tuple(read_runner(site, site.join(libraries, name)) for name in folders)


def read_runner(site: Site, folder: str) -> Runner:
    """Read one folder: its backend module's device code, and the processors of its rocBLAS."""
    names = site.names(folder)
    found = _module(names)
    name = site.pure(folder).name
    if found is None:
        return Runner(name=name, path=folder, library=_by_name(name), ours=MARK in names)
    row, module = found
    targets, problems = _targets(site, site.join(folder, module)) if row.name != "Vulkan" else ((), ())
    if len([one for one in names if _row_of(one) is not None]) > 1:
        problems += ("it holds several backend modules: Ollama takes the first, CUDA before ROCm before Vulkan",)
    tables = rocblas_tables(site, folder)
    if row.name == "ROCm" and not tables and "rocblas" in names:
        problems += ("its rocblas/library holds no TensileLibrary_lazy_*.dat",)
    return Runner(
        name=name,
        path=folder,
        library=row.name,
        module=module,
        targets=targets,
        rocblas=tables,
        ours=MARK in names,
        problems=problems,
    )


def rocblas_tables(site: Site, folder: str) -> tuple[str, ...]:
    """Return the processors that the folder's rocBLAS has a lazy table for."""
    names = site.names(site.join(folder, "rocblas", "library"))
    return codeobj.natural({found[1] for name in names if (found := LAZY.fullmatch(name))})


def _row_of(name: str) -> Library | None:
    rows = facts().backends
    return next((row for row in rows if any(fnmatch.fnmatchcase(name, one) for one in row.modules)), None)


def _module(names: tuple[str, ...]) -> tuple[Library, str] | None:
    """Return the module that Ollama loads: patterns in order, and of several names the first."""
    for row in facts().backends:
        for pattern in row.modules:
            found = sorted(fnmatch.filter(names, pattern))
            if found:
                return row, found[0]
    return None


def _by_name(folder: str) -> str:
    rows = facts().backends
    return next((row.name for row in rows if any(folder.startswith(one) for one in row.folders)), "")


def _targets(site: Site, module: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        held = codeobj.inspect(site.path(module))
    except GpubuildError as error:
        return (), (f"{site.pure(module).name}: {error.what} {error.why}".rstrip(),)
    problems = tuple(f"{site.pure(module).name}: {one.what}" for one in held.problems)
    return held.targets, problems
