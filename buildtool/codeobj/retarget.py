"""`retarget`: a file or a tree for one AMD processor becomes one for a sibling; and back again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj import manifest, names, output, rewrite, tree
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.manifest import FileChange, Manifest, Rename
from buildtool.codeobj.stage import Staged, stage
from buildtool.codeobj.view import DamagedError, open_view
from buildtool.compat.siblings import require_identical
from buildtool.errors import IncompatibleError, IntegrityError
from buildtool.store.digest import sha256_of
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import storage_errors

# Databases with code objects packed inside them, which renaming alone would make false.
OPAQUE = (".kdb", ".kpack")


class Outcome(NamedTuple):
    """What came out.

    Attributes:
        manifest: every change.
        manifest_path: where it was written.
        images: code objects that have the new processor's name now.
        bytes_before: of all files.
        bytes_after: what the result takes on disk.
        notes: what was left as it was, and why.
    """

    manifest: Manifest
    manifest_path: Path
    images: int
    bytes_before: int
    bytes_after: int
    notes: tuple[str, ...]


def manifest_place(out: Path, *, single: bool) -> Path:
    """Return where the manifest goes: into a tree, beside a single file."""
    return out.with_name(f"{out.name}.retarget.json") if single else out / manifest.NAME


def retarget(
    source: Path, old: str, new: str, out: Path, *, thinned: bool, progress: Progress | None = None
) -> Outcome:
    """Write `source` to `out` with code for one processor made code for a sibling.

    Args:
        source: a code object, bundle, library, or a folder.
        old: the processor the code is for (``gfx1030``).
        new: the processor it shall be for (``gfx1032``).
        out: where the result goes; must not exist.
        thinned: leave out what is for other processors.
        progress: receives how far it is.

    Raises:
        IncompatibleError: the two do not run the same instructions, or there is nothing for `old`, or already
            something for `new`.
        InvalidInputError: the source or `out` cannot be taken.
        DamagedError: a file contradicts itself; nothing was written then.
        StorageError: no space, no permission.
    """
    pair = rewrite.Pair(*require_identical(old, new))
    progress = progress or Silent()
    tree.check_out(source, out)
    entries = tree.survey(source)
    single = source.is_file()
    place_of_manifest = manifest_place(out, single=single)
    if single:
        tree.check_out(source, place_of_manifest)
    _refuse_both(entries, pair)
    with ExitStack() as stack:
        stack.enter_context(storage_errors(out, f"the code for {pair.new}", hint=tree.ANOTHER_PLACE))
        place = stack.enter_context(tree.appearing(out))
        record = stack.enter_context(tree.appearing(place_of_manifest)) if single else place / manifest.NAME
        job = _Job(source, place, pair, progress)
        staged = stage(source, entries, place, Keep((pair.old,)) if thinned else None, progress, job.name)
        job.run(staged)
        found = Manifest(
            source_target=pair.old,
            target=pair.new,
            thinned=thinned,
            files=tuple(job.files),
            renamed=tuple(job.renames(entries)),
            dropped=staged.dropped,
        )
        if not job.images and not any(row.changes for row in job.files):
            raise _nothing(source, pair, staged.targets)
        manifest.save(found, record)
        if not single:
            tree.copy_folder_modes(source, place, staged.folders)
        size = sum(output.on_disk(path) for path, _ in staged.files)
    before = sum(entry.size for entry in entries)
    return Outcome(found, place_of_manifest, job.images, before, size, (*staged.notes, *job.notes))


def _refuse_both(entries: Iterable[tree.Entry], pair: rewrite.Pair) -> None:
    taken = {entry.name for entry in entries}
    both = sorted(name for name in taken if names.renamed(name, pair.old, pair.new) != name)
    both = [name for name in both if names.renamed(name, pair.old, pair.new) in taken]
    if both:
        what = f"The tree holds files for {pair.new} already, beside those for {pair.old}."
        hint = f"Keep its own: gpubuild thin SRC --keep {pair.new} --out DST"
        raise IncompatibleError(what, why=f"Two sets of kernels in one folder fail: {both[0]}.", hint=hint)


def _nothing(source: Path, pair: rewrite.Pair, targets: tuple[str, ...]) -> IncompatibleError:
    what = f"{source} holds no code for {pair.old} that could be made code for {pair.new}."
    held = f"It holds {' '.join(targets)}." if targets else "It holds no device code."
    if pair.new in targets:
        held = f"It holds code for {pair.new} already."
    return IncompatibleError(what, why=held)


class _Job:
    """One run over the files of a staged copy."""

    def __init__(self, source: Path, place: Path, pair: rewrite.Pair, progress: Progress) -> None:
        self._source, self._place, self._pair, self._progress = source, place, pair, progress
        self.files: list[FileChange] = []
        self.notes: list[str] = []
        self.images = 0

    def name(self, name: str) -> str:
        """Return a name in the result."""
        return name if name.endswith(OPAQUE) else names.renamed(name, self._pair.old, self._pair.new)

    def run(self, staged: Staged) -> None:
        self._progress.start(f"Rewriting for {self._pair.new}", sum(path.stat().st_size for path, _ in staged.files))
        for path, was in staged.files:
            self._file(path, was)
            self._progress.advance(path.stat().st_size)
        self._progress.done()

    def _file(self, path: Path, was: str) -> None:
        with open_view(path) as view:
            found = rewrite.edits(view, was or self._source.name, self._pair)
            size = view.size
        self.notes += [f"{was or self._source.name}: {note}" for note in found.left]
        name = self.name(was)
        if not found.changes and name == was:
            return
        before = after = sha256_of(path)
        if found.changes:
            mode = path.stat()
            tree.writable(path)
            manifest.apply(path, found.changes, found.size)
            self._check(path, was, found)
            after = sha256_of(path)
            _restore_mode(path, mode.st_mode)
        shutil.copystat(self._source / was if was else self._source, path)
        self.images += found.images
        self.files.append(
            FileChange(
                path=name,
                was=was,
                bytes=found.size,
                was_bytes=size,
                sha256=after,
                was_sha256=before,
                changes=found.changes,
            )
        )

    def _check(self, path: Path, was: str, found: rewrite.Edits) -> None:
        """Read the new file: it must hold the code that was changed, and none for the old processor."""
        with open_view(path) as view:
            new = rewrite.count(view, was, self._pair.new)
            old = rewrite.count(view, was, self._pair.old)
        if new < found.images or (old and not found.left):
            what = f"{was or self._source.name}: {new} of {found.images} images are for {self._pair.new} afterwards."
            raise DamagedError(what, why="The file holds device code in a way that is not understood.")

    def renames(self, entries: Iterable[tree.Entry]) -> list[Rename]:
        """Return the folders and links that have other names now, or other texts."""
        rows = [
            Rename(path=self.name(entry.name), was=entry.name, text=self.name(entry.text), was_text=entry.text)
            for entry in entries
            if entry.kind != "file"
        ]
        return [row for row in rows if (row.path, row.text) != (row.was, row.was_text)]


def _restore_mode(path: Path, mode: int) -> None:
    path.chmod(mode & 0o7777)


def restore(source: Path, record: Path, out: Path, *, progress: Progress | None = None) -> Outcome:
    """Write what `source` was made from to `out`, by its manifest.

    Raises:
        IntegrityError: the source is not what the manifest describes.
        InvalidInputError: the manifest is none, or `out` cannot be taken.
        StorageError: no space, no permission.
    """
    progress = progress or Silent()
    found = manifest.load(record)
    tree.check_out(source, out)
    entries = tree.survey(source)
    entries = [entry for entry in entries if entry.name != manifest.NAME]
    back = {row.path: row.was for row in found.files} | {row.path: row.was for row in found.renamed}
    texts = {row.was: row.was_text for row in found.renamed if row.was_text}

    def text(name: str, now: str) -> str:
        return texts.get(name, now)

    _same_kind(source, found)
    with storage_errors(out, "the restored files", hint=tree.ANOTHER_PLACE), tree.appearing(out) as place:
        staged = stage(source, entries, place, None, progress, lambda name: back.get(name, name), text)
        made = {was: path for path, was in staged.files}
        for row in found.files:
            path = made.get(row.path)
            if path is None:
                what = f"{source} lacks {row.path or 'the file'}, which the manifest lists."
                raise IntegrityError(what)
            mode = path.stat().st_mode
            tree.writable(path)
            manifest.undo(path, row)
            _restore_mode(path, mode)
            shutil.copystat(source / row.path if row.path else source, path)
        if source.is_dir():
            tree.copy_folder_modes(source, place, staged.folders)
        size = sum(output.on_disk(path) for path, _ in staged.files)
    return Outcome(found, record, 0, sum(entry.size for entry in entries), size, ())


def verify(source: Path, record: Path) -> Manifest:
    """Check that every file a manifest lists is what the manifest says.

    Raises:
        IntegrityError: one is missing or differs.
        InvalidInputError: the manifest is none.
    """
    found = manifest.load(record)
    _same_kind(source, found)
    for row in found.files:
        manifest.check(source / row.path if row.path else source, row)
    return found


def _same_kind(source: Path, found: Manifest) -> None:
    if source.is_file() != (len(found.files) == 1 and not found.files[0].path):
        what = f"The manifest is not of {source}."
        raise IntegrityError(what, why="One is of a single file, the other of a folder.")
