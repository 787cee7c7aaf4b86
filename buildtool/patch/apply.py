"""Patched copies of source trees: all patches or none, on a copy; the original is only read."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from buildtool.compat.model import PlanPatch
from buildtool.compat.series import PatchRow, Series, read_series, series_directory
from buildtool.compat.targets import Target, parse_target
from buildtool.errors import IntegrityError, InvalidInputError, StorageError, UnknownNameError
from buildtool.patch.load import load_body
from buildtool.patch.model import Verdict
from buildtool.patch.rehearse import Draft, conflict_error, try_patch
from buildtool.source.digest import source_files, tree_digest
from buildtool.source.model import SourceTree
from buildtool.store.entries import Filled, Store
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree, existing_parent, require_space, storage_errors, tree_size

KIND = "patched"
LAYOUT = "1"  # part of every key: a change in what a patched tree looks like makes new entries


class Patched(msgspec.Struct, frozen=True, kw_only=True):
    """A source tree after its patches.

    Attributes:
        tree: the patched copy in the store, or the original where no patch was needed.
        applied: patches that changed something, each with the targets that needed it.
        verdicts: what came of every patch tried.
    """

    tree: SourceTree
    applied: tuple[PlanPatch, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def patched_source(
    patches: Iterable[PlanPatch],
    project: str,
    source: SourceTree,
    *,
    progress: Progress | None = None,
    store: Store | None = None,
) -> Patched:
    """Return the source with a plan's patches, as a copy in the store.

    Args:
        patches: as the plan fixes them.
        project: whose series they come from (the plan's recipe).
        source: the tree; never changed.
        progress: told when another run is waited for.
        store: where patched trees are kept (default: the user's store).

    Raises:
        PatchConflictError: a patch does not fit the tree.
        IntegrityError: a patch is not the one that the plan names.
        InvalidInputError: the tree changed while it was copied, or holds what is neither file nor link.
        StorageError: the store is full or cannot be written.
    """
    wanted = tuple(patches)
    if not wanted:
        return Patched(tree=source)
    folder = series_directory(project)
    series = read_series(folder)
    draft, verdicts = rehearse(folder, [(fixed_row(series, one), _targets(one)) for one in wanted], source.path)
    if not draft.edited:
        return Patched(tree=source, verdicts=verdicts)
    states = {verdict.patch: verdict for verdict in verdicts}
    applied = tuple(
        PlanPatch(name=one.name, sha256=one.sha256, targets=states[one.name].targets)
        for one in wanted
        if states[one.name].state == "applies"
    )
    tree = _stored(source, draft.edited, applied, store or Store(), progress)
    return Patched(tree=tree, applied=applied, verdicts=verdicts)


def rehearse(
    folder: Path, wanted: Iterable[tuple[PatchRow, tuple[Target, ...]]], tree: str
) -> tuple[Draft, tuple[Verdict, ...]]:
    """Do patches on a draft of the tree, in the order of their series.

    Args:
        folder: of the series.
        wanted: rows of the series, each with the targets in question.
        tree: the top folder of the source.

    Raises:
        PatchConflictError: one does not fit.
        IntegrityError: a body is not the one that its row names.
    """
    draft = Draft(Path(tree))
    verdicts = []
    for row, targets in wanted:
        verdict = try_patch(draft, row, load_body(folder, row), targets)
        if verdict.state == "conflicts":
            raise conflict_error(verdict, tree)
        verdicts.append(verdict)
    return draft, tuple(verdicts)


def fixed_row(series: Series, patch: PlanPatch) -> PatchRow:
    """Return the row of a patch that a plan names.

    Raises:
        IntegrityError: this gpubuild has no such patch, or another one of that name.
    """
    try:
        row = series.patch(patch.name)
    except UnknownNameError:
        row = None
    if row is None or row.sha256 != patch.sha256:
        what = f"The plan asks for a patch {patch.name} that this gpubuild does not have."
        here = f"this one {row.sha256}" if row else "there is none here"
        why = f"The plan's has the sha256 {patch.sha256}; {here}."
        raise IntegrityError(what, why=why, hint="Use the gpubuild that made the plan, or plan again.")
    return row


def _targets(patch: PlanPatch) -> tuple[Target, ...]:
    return tuple(target for name in patch.targets for target in parse_target(name))


def _stored(
    source: SourceTree,
    edited: Mapping[str, str],
    applied: tuple[PlanPatch, ...],
    store: Store,
    progress: Progress | None,
) -> SourceTree:
    texts = [(name, hashlib.sha256(text.encode()).hexdigest()) for name, text in sorted(edited.items())]
    identity = msgspec.json.encode([LAYOUT, source.digest, texts])
    key = f"{'-'.join(one.name for one in applied)[:60].rstrip('-')}-{hashlib.sha256(identity).hexdigest()[:12]}"

    def fill(content: Path) -> Filled:
        require_space(content, tree_size(Path(source.path))[0], "a patched copy of the source")
        copy_tree(source, content, edited)
        words = ", ".join(f"{one.name} ({' '.join(one.targets)})" for one in applied)
        return Filled(origin=f"{source.path} with {words}", facts={"digest": tree_digest(content)})

    entry = store.ensure(KIND, key, fill, read_only=True, progress=progress)
    return SourceTree(path=str(entry.path), digest=entry.facts["digest"])


def copy_tree(source: SourceTree, target: Path, edited: Mapping[str, str]) -> None:
    """Copy what belongs to a source tree into the empty folder `target`, with some files' text replaced.

    Links are copied as links; one that leads out of the tree keeps leading to the same place.

    Raises:
        InvalidInputError: the tree changed meanwhile, or holds what is neither file nor link.
    """
    top = Path(source.path)
    for name, path in source_files(source.path):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            place.symlink_to(_destination(Path(path), top))
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(path, place)
            place.chmod(0o755 if status.st_mode & stat.S_IXUSR else 0o644)
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            what = f"{path} is neither a file nor a link."
            raise InvalidInputError(what, hint="A patched copy of the tree cannot hold it; take it away.")
    if source.mutable and tree_digest(target) != source.digest and not _has_outside_links(target):
        what = f"{source.path} changed while it was copied."
        raise InvalidInputError(what, hint="Run again when nothing else writes there.")
    for name, text in edited.items():
        (target / name).write_bytes(text.encode())


def _destination(link: Path, top: Path) -> str:
    destination = link.readlink()
    if destination.is_absolute():
        return str(destination)
    inside = Path(os.path.normpath(link.parent / destination)).is_relative_to(top)
    return str(destination) if inside else os.path.normpath(link.parent / destination)


def _has_outside_links(tree: Path) -> bool:
    return any(Path(path).is_symlink() and Path(path).readlink().is_absolute() for _, path in source_files(str(tree)))


def write_patched(source: SourceTree, edited: Mapping[str, str], out: Path) -> None:
    """Write a patched copy of a tree to `out`, whole or not at all.

    Raises:
        InvalidInputError: `out` exists already, or lies inside the tree.
        StorageError: it cannot be written.
    """
    out = out.absolute()
    if out.exists() or out.is_symlink():
        what = f"{out} exists already."
        raise InvalidInputError(what, hint="Name a new folder with --out.")
    if out.resolve().is_relative_to(Path(source.path).resolve()):
        what = f"{out} lies inside the source tree."
        raise InvalidInputError(what, hint="Name a folder outside of it with --out; the tree itself is not changed.")
    if not existing_parent(out).is_dir():
        what = f"{existing_parent(out)} is not a folder, so {out} cannot be made."
        raise StorageError(what, hint="Name another folder with --out.")
    with storage_errors(out, "a patched copy of the source"):
        out.parent.mkdir(parents=True, exist_ok=True)
        require_space(out, tree_size(Path(source.path))[0], "a patched copy of the source")
        room = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            draft = room / "tree"
            draft.mkdir()
            copy_tree(source, draft, edited)
            draft.rename(out)
        finally:
            delete_tree(room)
