"""What a patch body says, and what came of trying it on a tree."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["applies", "not-needed", "conflicts", "elsewhere"]


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all edits have in common.

    In the texts of an edit stand ``{target}`` (gfx90a:xnack-), ``{chip}`` (gfx90a), ``{macro}`` (gfx10_3_generic) and
    ``{number}`` (37, of sm_37) for the target in question; the edit is done once for each.

    Attributes:
        files: where, from the top of the tree; the first that exists is taken.
        targets: targets this edit is for (globs), () for all of the patch's.
        when: a text that must stand in the file for the edit to be of use; otherwise it is left out.
        enough: words that make the edit superfluous where they stand in its place already.
    """

    files: tuple[str, ...]
    targets: tuple[str, ...] = ()
    when: str = ""
    enough: tuple[str, ...] = ()


class Guard(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="guard"):
    """Put ``defined(term)`` at the end of an ``#if defined(A) || defined(B)``.

    Attributes:
        defines: the guard whose first line defines one of these macros; the first name found in the file counts.
        beside: the guard that names this macro, when `defines` is empty; one that is a plain list goes before.
        term: the macro to add.
    """

    defines: tuple[str, ...] = ()
    beside: str = ""
    term: str


class Macro(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="macro"):
    """Widen or narrow a function-like macro of one parameter; ``{arg}`` is that parameter.

    Attributes:
        name: the macro.
        also: a condition that makes it true.
        unless: a condition that makes it false.
    """

    name: str
    also: str = ""
    unless: str = ""


class Preset(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="preset"):
    """Put an item into a ``;`` list of a CMake preset file.

    Attributes:
        preset: configure presets (glob).
        variable: the cache variable that holds the list.
        item: what to add, unless it stands there in any form (``-real``, ``-virtual``).
    """

    preset: str
    variable: str
    item: str


class Filter(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="filter"):
    """Let a target through a ``list(FILTER variable INCLUDE REGEX "^gfx(...)$")`` of a CMake file."""

    variable: str
    item: str


class Diff(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="diff"):
    """A unified diff of the one file in `files`, applied without fuzz."""

    text: str


AnyEdit = Guard | Macro | Preset | Filter | Diff


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The edits of one patch, in the order they are done."""

    schema: int
    edits: tuple[AnyEdit, ...] = msgspec.field(name="edit")


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of one patch on one tree.

    Attributes:
        patch: its name.
        state: ``applies``, ``not-needed``, ``conflicts``, or ``elsewhere`` (a tree that it is not about).
        targets: targets it was tried for; with ``applies``, those the tree lacks.
        files: files that it changes.
        reason: why it conflicts.
        excerpt: the lines in question.
    """

    patch: str
    state: State
    targets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reason: str = ""
    excerpt: tuple[str, ...] = ()


class EditConflictError(Exception):
    """An edit finds no place in a file, or more than one; turned into `PatchConflictError` or a `Verdict`."""

    def __init__(self, reason: str, excerpt: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.excerpt = excerpt
