"""Forces ggml to take one particular CPU module, by giving it a directory that holds no other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from buildtool.verify.backends import backend_of_module
from buildtool.verify.model import Module
from buildtool.verify.subject import Subject


def plainest(modules: tuple[Module, ...]) -> Module | None:
    """Return the usable CPU module with the lowest score, if there are at least two: the one with the least tricks."""
    usable = [module for module in modules if module.backend == "cpu" and module.loaded and module.score]
    if len(usable) < 2:  # noqa: PLR2004 - a comparison takes two
        return None
    return min(usable, key=lambda module: (module.score or 0, module.name))


def with_only(subject: Subject, module: str, target: Path) -> Subject:
    """Return the same artefact with the CPU module `module` alone, laid out in the new directory `target`.

    Files are hard links where the file system allows, else copies: ggml looks beside the executable as the
    kernel knows it, so that symbolic links would lead it back.
    """
    target.mkdir()
    for path in subject.directory.iterdir():
        other = backend_of_module(path.name) is not None and path.name != module
        if path.is_file() and not other:
            _place(path.resolve(), target / path.name)
    return msgspec.structs.replace(subject, directory=target, modules=(), env=subject.cpu_env)


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
