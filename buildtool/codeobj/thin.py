"""`thin`: the same library, or the same tree, with the device code of some targets only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from buildtool.codeobj import output, tree
from buildtool.codeobj.keep import Keep
from buildtool.codeobj.stage import stage
from buildtool.errors import IncompatibleError
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import storage_errors


class Result(NamedTuple):
    """What thinning did: bytes of all files before and on disk afterwards, what was left out, what is special."""

    bytes_before: int
    bytes_after: int
    kept: int
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def thin(source: Path, targets: Iterable[str], out: Path, *, progress: Progress | None = None) -> Result:
    """Write `source` to `out` with the device code for some targets only.

    Args:
        source: a library, executable, fat binary, bundle, or a folder.
        targets: of the devices to keep code for, as people write them.
        out: where the result goes; must not exist.
        progress: receives how far it is.

    Raises:
        UnknownNameError: nobody knows one of the targets.
        IncompatibleError: the source holds nothing for the targets.
        InvalidInputError: the source or `out` cannot be taken.
        DamagedError: a file contradicts itself; nothing was written then.
        StorageError: no space, no permission.
    """
    keep = Keep.of(targets)
    tree.check_out(source, out)
    entries = tree.survey(source)
    with storage_errors(out, "the thinned files", hint=tree.ANOTHER_PLACE), tree.appearing(out) as place:
        staged = stage(source, entries, place, keep, progress or Silent(), lambda name: name)
        if not staged.kept:
            what = f"{source} holds no code for {' or '.join(keep.targets)}."
            held = f"It holds {' '.join(staged.targets)}." if staged.targets else "It holds no device code."
            raise IncompatibleError(what, why=held)
        if source.is_dir():
            tree.copy_folder_modes(source, place, staged.folders)
        size = sum(output.on_disk(path) for path, _ in staged.files)
    return Result(sum(entry.size for entry in entries), size, staged.kept, staged.dropped, staged.notes)
