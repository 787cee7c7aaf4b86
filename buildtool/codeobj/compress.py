"""`compress`: the same library or tree with its AMD device code compressed, which HIP unpacks when it loads it.

The form is clang's own (``--offload-compress``, ``CCOB``). Tables that are read by name stay as they are.
"""

from __future__ import annotations

from pathlib import Path

from buildtool.codeobj import output, tree
from buildtool.codeobj.bundle import CCOB_MAGIC
from buildtool.codeobj.stage import Packing, stage
from buildtool.codeobj.thin import Result
from buildtool.codeobj.view import find, open_view
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import storage_errors


def compress(source: Path, out: Path, *, progress: Progress | None = None) -> Result:
    """Write `source` to `out` with its plain offload bundles and bare code objects compressed.

    Args:
        source: a library, bundle, code object, or a folder.
        out: where the result goes; must not exist.
        progress: receives how far it is.

    Raises:
        InvalidInputError: the source or `out` cannot be taken.
        DamagedError: a file contradicts itself; nothing is left then.
        StorageError: no space, no permission.
    """
    tree.check_out(source, out)
    entries = tree.survey(source)
    with storage_errors(out, "the compressed files"), tree.appearing(out) as place:
        staged = stage(source, entries, place, Packing(), progress or Silent(), lambda name: name)
        if source.is_dir():
            tree.copy_folder_modes(source, place, staged.folders)
        size = sum(output.on_disk(path) for path, _ in staged.files)
    return Result(sum(entry.size for entry in entries), size, staged.kept, staged.dropped, staged.notes)


def understands(loader: Path) -> bool:
    """Tell whether a HIP runtime library reads compressed bundles: it compares with their magic number."""
    with open_view(loader) as view:
        return find(view, CCOB_MAGIC, 0, view.size) >= 0
