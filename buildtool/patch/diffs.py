"""Unified diffs, applied without fuzz: each hunk's old lines must stand in the file exactly so."""

from __future__ import annotations

from collections.abc import Sequence

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchSet

from buildtool.errors import DataError
from buildtool.patch.model import Diff, EditConflictError


def edit_diff(text: str, edit: Diff) -> str:
    """Return `text` with every hunk applied; the same text when all are applied already.

    Lines may have moved: a hunk is taken where its old lines stand, if that is one place, or else where it says.

    Raises:
        EditConflictError: a hunk fits nowhere or in several places, or only some hunks are applied already.
        DataError: not a diff of one existing file.
    """
    hunks = _hunks(edit)
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.split(end)
    done = moved = 0
    for hunk in hunks:
        old = [str(line.value).rstrip("\r\n") for line in hunk if line.is_context or line.is_removed]
        new = [str(line.value).rstrip("\r\n") for line in hunk if line.is_context or line.is_added]
        stated = hunk.source_start - 1 + moved
        at, there = _place(lines, old, stated), _place(lines, new, stated)
        if there is not None and (at is None or (len(new) > len(old) and there <= at < there + len(new))):
            done += 1
            continue
        if at is None:
            reason = "this hunk fits nowhere, or in more than one place"
            raise EditConflictError(reason, tuple(str(hunk).splitlines()))
        lines[at : at + len(old)] = new
        moved += len(new) - len(old)
    if done and done != len(hunks):
        reason = f"{done} of {len(hunks)} hunks are applied already, and the others are not"
        raise EditConflictError(reason, tuple(edit.text.splitlines()))
    return end.join(lines)


def _hunks(edit: Diff) -> list[Hunk]:
    try:
        files = PatchSet(edit.text)
    except UnidiffParseError as error:
        what = "A patch holds a diff that cannot be read."
        raise DataError(what, why=str(error)) from error
    if len(files) != 1 or not files[0].is_modified_file or files[0].path not in edit.files:
        what = "A patch holds a diff of something else than its one file."
        raise DataError(what, why=f"It names {', '.join(one.path for one in files) or 'no file'}.")
    return list(files[0])


def _place(lines: Sequence[str], block: Sequence[str], stated: int) -> int | None:
    """Return where `block` stands: its one place, or of several the stated one."""
    size = len(block)
    places = [at for at in range(len(lines) - size + 1) if list(lines[at : at + size]) == list(block)]
    if len(places) == 1:
        return places[0]
    return stated if stated in places else None
