"""Patch bodies: read from beside their series, and only with the sha256 that the series states."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from buildtool.compat.series import PatchRow
from buildtool.compat.tables import decode_table
from buildtool.errors import DataError, IntegrityError
from buildtool.patch.model import Body, Diff

# Folders of one backend each: upstream's, Ollama's copy of it, and upstream's before June 2024.
BACKEND_FOLDERS = ("ggml/src/ggml-cuda/", "ml/backend/ggml/ggml/src/ggml-cuda/", "ggml-cuda/")


def load_body(folder: Path, row: PatchRow) -> Body:
    """Read the body of a patch.

    Args:
        folder: of the series.
        row: of the patch.

    Raises:
        IntegrityError: the file is missing, or not the one that the series names.
        DataError: it has a field nobody knows, edits a file outside the tree, or more than the row says.
    """
    path = folder / row.file
    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"The patch {row.name} is missing."
        raise IntegrityError(what, why=f"{path}: {error.strerror or error}", hint="Reinstall gpubuild.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != row.sha256:
        what = f"The patch {row.name} is not the one that its series names."
        why = f"{path} has the sha256 {found}; the series says {row.sha256}."
        raise IntegrityError(what, why=why, hint="Reinstall gpubuild; after a change of your own, write the new one.")
    body = decode_table(content.decode("utf-8", "replace"), Body, f"{folder.name}/{row.file}")
    for edit in body.edits:
        _check_files(row, edit.files)
        if isinstance(edit, Diff) and (len(edit.files) != 1 or edit.targets):
            _refuse(row, "a diff is for exactly one file and for every target")
    return body


def _check_files(row: PatchRow, files: tuple[str, ...]) -> None:
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            _refuse(row, f"{name!r} is not a file inside the tree")
        if row.part == "backend" and not name.startswith(BACKEND_FOLDERS):
            _refuse(row, f"{name} is no part of a backend")
    if not files:
        _refuse(row, "an edit names no file")


def _refuse(row: PatchRow, why: str) -> None:
    what = f"The patch {row.name} is damaged."
    raise DataError(what, why=why)
