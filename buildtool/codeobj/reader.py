"""`inspect`: everything a path holds, file by file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from buildtool.codeobj import scan
from buildtool.codeobj.codec import refuse_bomb
from buildtool.codeobj.containers import members
from buildtool.codeobj.model import FileReport, Image, Inspection, Problem
from buildtool.codeobj.view import DamagedError, View, open_view
from buildtool.errors import InvalidInputError, StorageError

MAX_DEPTH = 4
MEMBER = "!"


class _Collector:
    """Gathers reports and problems while files are walked."""

    def __init__(self, *, kernels: bool = False) -> None:
        self._kernels = kernels
        self.files: list[FileReport] = []
        self.problems: list[Problem] = []
        self.scanned = 0
        self._file_bytes = self._member_bytes = 0

    def visit(self, view: View, name: str) -> None:
        """Read a file and, if it is an archive, what is in it."""
        self._file_bytes, self._member_bytes = view.size, 0
        self._visit(view, name, 0)

    def _visit(self, view: View, name: str, depth: int) -> None:
        try:
            head = view.peek(0, scan.HEAD)
            inner = members(head, view, name) if depth < MAX_DEPTH else None
            if inner is None:
                self._read(view, head, name)
                return
            for member, content in inner:
                self._member_bytes += content.size  # archives in archives, or members that share their bytes
                refuse_bomb(name, self._file_bytes, self._member_bytes)
                self._visit(content, f"{name}{MEMBER}{member}", depth + 1)
        except DamagedError as error:
            self._note(name, error)

    def _read(self, view: View, head: bytes, name: str) -> None:
        self.scanned += 1
        kind = scan.file_format(head, name)
        if not kind:
            return
        found: list[Image] = []
        try:
            kind, images = scan.images(view, kind, name)
            found.extend(images)
        except DamagedError as error:
            self._note(name, error)
        if self._kernels:
            found = self._described(view, name, found)
        if found:
            self.files.append(FileReport(path=name, format=kind, bytes=view.size, images=tuple(found)))

    def _described(self, view: View, name: str, images: list[Image]) -> list[Image]:
        from buildtool.codeobj.details import Describer

        describer, found = Describer(view), []
        for image in images:
            try:
                found.append(describer.describe(image))
            except DamagedError as error:
                self._note(name, error)
                found.append(image)
        return found

    def _note(self, name: str, error: DamagedError) -> None:
        self.problems.append(Problem(path=name, what=f"{error.what} {error.why}".rstrip()))


def inspect(path: Path, *, kernels: bool = False) -> Inspection:
    """Report the device code of a file, archive or directory.

    Symbolic links inside a directory are not followed: what they point to inside it is read once anyway.

    Args:
        path: a binary, a wheel or other archive, or a directory.
        kernels: unpack every image and add the names of its kernels and the toolkit that made it.

    Raises:
        InvalidInputError: the path does not exist, is empty, or is a single file that cannot be read at all.
        StorageError: the file system refuses.
    """
    collector = _Collector(kernels=kernels)
    if path.is_dir():
        for file in _walk(path, collector):
            try:
                with open_view(file) as view:
                    collector.visit(view, str(file))
            except StorageError as error:
                collector.problems.append(Problem(path=str(file), what=error.why))
    else:
        _one_file(path, collector)
    targets = natural({image.target for file in collector.files for image in file.images if image.target})
    return Inspection(
        targets=targets,
        files=tuple(collector.files),
        scanned=collector.scanned,
        problems=tuple(collector.problems),
    )


def _one_file(path: Path, collector: _Collector) -> None:
    if not path.exists():
        what = f"{path} does not exist."
        raise InvalidInputError(what)
    if not path.is_file():
        what = f"{path} is neither a file nor a directory."
        raise InvalidInputError(what)
    with open_view(path) as view:
        if not view.size:
            what = f"{path} is empty."
            raise InvalidInputError(what)
        collector.visit(view, str(path))
    own = [problem for problem in collector.problems if problem.path == str(path)]
    if own and not collector.files:
        what = f"{path} cannot be read."
        raise InvalidInputError(what, why=own[0].what)


def _walk(root: Path, collector: _Collector) -> Iterable[Path]:
    """Yield every file below a folder; one that cannot be read is a problem, and not the same as an empty one."""

    def unread(error: OSError) -> None:
        collector.problems.append(Problem(path=str(error.filename or root), what=error.strerror or str(error)))

    for folder, subfolders, names in os.walk(root, onerror=unread):
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                yield file


def natural(names: Iterable[str]) -> tuple[str, ...]:
    """Sort target names so that sm_90 stands before sm_100 and gfx90a before gfx1030."""

    def key(name: str) -> tuple[str, int, str]:
        parts = re.match(r"([a-z_]*)(\d{0,9})(.*)", name)
        prefix, digits, rest = parts.groups() if parts else (name, "", "")
        if prefix == "gfx":  # gfx90a stands between gfx908 and gfx942: the number is hexadecimal
            chip = re.match(r"[0-9a-f]*", name[3:])
            return prefix, int(chip[0], 16) if chip and chip[0] else 0, rest
        return prefix, int(digits or 0), rest

    return tuple(sorted(names, key=key))


def targets_of(path: Path) -> tuple[str, ...]:
    """Return just the targets that `inspect` finds, in natural order."""
    return inspect(path).targets
