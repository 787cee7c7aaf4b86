"""Try patches on a tree without touching it: the edits are made in memory, all of a patch or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from buildtool.compat.series import PatchRow
from buildtool.compat.targets import Target
from buildtool.errors import PatchConflictError
from buildtool.patch.diffs import edit_diff
from buildtool.patch.guards import edit_guard, edit_macro
from buildtool.patch.lists import edit_filter, edit_preset
from buildtool.patch.model import AnyEdit, Body, Diff, Edit, EditConflictError, Filter, Guard, Macro, Preset, Verdict

LARGEST_BYTES = 16 << 20


class Draft:
    """A tree with edits on top that exist in memory only."""

    def __init__(self, tree: Path) -> None:
        """Begin with the tree as it is."""
        self.tree = tree
        self.edited: dict[str, str] = {}

    def read(self, name: str) -> str:
        """Return a file's text, as edited so far.

        Raises:
            EditConflictError: there is no such regular file inside the tree, or it is no text.
        """
        if name in self.edited:
            return self.edited[name]
        path = self._inside(name)
        if path is None:
            reason = "the tree has no such file"
            raise EditConflictError(reason)
        try:
            if path.stat().st_size > LARGEST_BYTES:
                reason = f"the file is larger than {LARGEST_BYTES >> 20} MiB"
                raise EditConflictError(reason)
            return path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = f"the file cannot be read as text: {error}"
            raise EditConflictError(reason) from error

    def first(self, names: tuple[str, ...]) -> str:
        """Return the first of some files that exists; the first name when none does."""
        return next((name for name in names if self._inside(name) is not None), names[0])

    def original(self, name: str) -> str:
        """Return a file's text as it lies in the tree."""
        return (self.tree / name).read_bytes().decode("utf-8")

    def _inside(self, name: str) -> Path | None:
        path = self.tree
        for part in name.split("/"):
            path /= part
            if path.is_symlink():
                reason = f"{path.relative_to(self.tree).as_posix()} is a symbolic link; what it points to is not edited"
                raise EditConflictError(reason)
        return path if path.is_file() else None


def try_patch(draft: Draft, row: PatchRow, body: Body, targets: Iterable[Target]) -> Verdict:
    """Do a patch on the draft, whole or not at all, and say what came of it.

    Args:
        draft: the tree; changed only when the verdict is ``applies``.
        row: the patch's row.
        body: its edits.
        targets: targets in question; those that the patch is not for are passed over.
    """
    if row.only_with and not (draft.tree / row.only_with).is_file():
        return Verdict(patch=row.name, state="elsewhere", reason=f"a tree without {row.only_with}")
    attempt = Draft(draft.tree)
    attempt.edited = dict(draft.edited)
    wanted = tuple(target for target in targets if row.serves(target))
    needed: list[str] = []
    for target in wanted:
        before = dict(attempt.edited)
        for edit in body.edits:
            try:
                _do(attempt, edit, target)
            except EditConflictError as conflict:
                return _conflict(row, edit, target, attempt, conflict)
        if attempt.edited != before:
            needed.append(str(target))
    if not needed:
        return Verdict(patch=row.name, state="not-needed", targets=tuple(map(str, wanted)))
    files = tuple(sorted(name for name, text in attempt.edited.items() if draft.edited.get(name) != text))
    draft.edited = attempt.edited
    return Verdict(patch=row.name, state="applies", targets=tuple(needed), files=files)


def _do(draft: Draft, edit: AnyEdit, target: Target) -> None:
    if edit.targets and not any(fnmatchcase(target.chip + target.suffix, glob) for glob in edit.targets):
        return
    name = draft.first(edit.files)
    before = draft.read(name)
    if edit.when and edit.when not in before:
        return
    after = _edited(before, edit, target)
    if after != before:
        draft.edited[name] = after


def _edited(text: str, edit: AnyEdit, target: Target) -> str:
    if isinstance(edit, Diff):
        return edit_diff(text, edit)
    exact = _filled(edit, words_of(target))
    if isinstance(exact, Guard):
        return edit_guard(text, exact)
    if isinstance(exact, Macro):
        return edit_macro(text, exact)
    if isinstance(exact, Preset):
        return edit_preset(text, exact)
    assert isinstance(exact, Filter)  # noqa: S101 - the last kind there is
    return edit_filter(text, exact)


def words_of(target: Target) -> dict[str, str]:
    """Return what stands for the placeholders of an edit; see `buildtool.patch.model.Edit`."""
    words = {"{target}": str(target), "{chip}": target.chip, "{macro}": target.chip.replace("-", "_")}
    if target.platform == "cuda":
        words["{number}"] = target.chip.removeprefix("sm_") + target.suffix
    return words


def _filled(edit: Edit, words: Mapping[str, str]) -> Edit:
    def fill(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(fill, value))
        text = str(value)
        for placeholder, word in words.items():
            text = text.replace(placeholder, word)
        return text

    texts = {name: fill(getattr(edit, name)) for name in edit.__struct_fields__ if name not in {"files", "targets"}}
    return msgspec.structs.replace(edit, **texts)


def _conflict(row: PatchRow, edit: AnyEdit, target: Target, draft: Draft, conflict: EditConflictError) -> Verdict:
    try:
        name = draft.first(edit.files)
    except EditConflictError:
        name = edit.files[0]
    return Verdict(
        patch=row.name,
        state="conflicts",
        targets=(str(target),),
        files=(name,),
        reason=conflict.reason,
        excerpt=conflict.excerpt,
    )


def conflict_error(verdict: Verdict, origin: str) -> PatchConflictError:
    """Return the error for a patch that conflicts, with the edit and the file."""
    what = f"The patch {verdict.patch} does not fit {origin}."
    why = f"{verdict.files[0]}, for {verdict.targets[0]}: {verdict.reason}."
    hint = "Nothing was changed. gpubuild patch check shows which sources it fits; name one with --source."
    return PatchConflictError(what, why=why, hint=hint, details=verdict.excerpt)
