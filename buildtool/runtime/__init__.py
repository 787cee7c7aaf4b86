"""Which vendor libraries and data must travel along, and do they serve these targets?

With ``--runtime pip`` the vendor's own wheels bring them and the set is empty; with ``system`` the target machine has
them; with ``bundle`` the closed set is read from the binaries, cut down to the plan's targets, made to find itself, and
laid out in a staging directory with a licence for each library.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from buildtool.build.model import BuildTree
from buildtool.build.uses import toolkit_places
from buildtool.compat.model import Plan
from buildtool.runtime.closure import closure, needed
from buildtool.runtime.model import LeftOut, Rung, RuntimeSet, VendorData, VendorLibrary
from buildtool.store.progress import Progress, Silent
from buildtool.store.storage import delete_tree, storage_errors
from buildtool.toolchain.model import Toolchain

__all__ = ["MODULES", "LeftOut", "Rung", "RuntimeSet", "VendorData", "VendorLibrary", "collect", "require_served"]

MODULES = {"cuda": "libggml-cuda.so", "rocm": "libggml-hip.so", "vulkan": "libggml-vulkan.so"}
BLAS = {"cuda": "libcublas.so.*", "rocm": "librocblas.so.*"}  # what every backend of a vendor's links
LAYOUT = "5"  # a change in how bundles are laid out makes them anew
RECORD = "set.json"


def collect(plan: Plan, toolchain: Toolchain, tree: BuildTree, *, progress: Progress | None = None) -> RuntimeSet:
    """Return what must travel with the backend module, laid out below the build directory.

    Raises:
        BuildError: a library is missing, or has no licence text and must not be copied.
        IncompatibleError: the vendor's device code serves one of the targets in no way.
        StorageError: there is not enough space.
    """
    if plan.runtime != "bundle" or not _has_libraries(plan, toolchain):
        return RuntimeSet(mode=plan.runtime)
    from filelock import FileLock

    from buildtool.codeobj.tree import appearing
    from buildtool.runtime.origin import origin_of
    from buildtool.runtime.stage import Stage

    shown = progress or Silent()
    own = Path(tree.path) / "bin"
    module, origin = own / MODULES[plan.backend], origin_of(toolchain)
    shelf = Path(tree.path) / "runtime"
    out = shelf / _key(plan, toolchain, module)
    # A second run of the same plan finds the first one's bundle, instead of deleting it under its hands.
    with storage_errors(out, "the vendor libraries"), FileLock(shelf.with_name("runtime.lock")):
        known = _made_before(out)
        if known is not None:
            return known
        closed = closure(module, own, origin.folders)
        if not closed.libraries:
            return RuntimeSet(mode=plan.runtime, left_out=closed.left_out)
        delete_tree(shelf)  # of other targets, or of a run that was killed
        shelf.mkdir(parents=True)
        shown.note(f"Collecting {len(closed.libraries)} vendor libraries.")
        with appearing(out) as place:
            stage = Stage(place, closed, origin, shown, cuts_whole=plan.thin_vendor is True)
            made = _moved(stage.make(plan.targets), place, out)
            (place / RECORD).write_bytes(msgspec.json.encode(made))
    return made


def require_served(plan: Plan, toolchain: Toolchain) -> None:
    """Find out before an hour of compiling that no bundle would come of it.

    Raises:
        BuildError: the vendor's BLAS has no licence text.
        IncompatibleError: the vendor's kernels serve one of the targets in no way.
    """
    if plan.runtime != "bundle" or plan.backend not in BLAS or not _has_libraries(plan, toolchain):
        return
    from buildtool.runtime.closure import Closure, Found, folders_of
    from buildtool.runtime.origin import origin_of
    from buildtool.runtime.stage import chosen_rungs, require_text

    origin = origin_of(toolchain)
    blas = (path for folder in origin.folders for path in sorted(folder.glob(BLAS[plan.backend])))
    path = next(blas, None)  # the first is the one that a bundle takes
    if path is None:
        return
    require_text(path, origin.provenance([path]).get(path))
    if plan.backend == "rocm":
        one = Found(path.name, path, MODULES[plan.backend])
        chosen_rungs(Closure((one,), tuple(folders_of(one.soname, path)), ()), plan.targets)


def _has_libraries(plan: Plan, toolchain: Toolchain) -> bool:
    return plan.backend != "cpu" and (toolchain.root is not None or toolchain.sandbox is not None)


def _key(plan: Plan, toolchain: Toolchain, module: Path) -> str:
    """Return a name for the bundle of these targets, this toolkit, and what the module needs."""
    identity = [LAYOUT, plan.targets, toolkit_places(toolchain), toolchain.version, needed(module)]
    identity += ["cut"] if plan.thin_vendor is True else []
    return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:12]


def _made_before(out: Path) -> RuntimeSet | None:
    try:
        known = msgspec.json.decode((out / RECORD).read_bytes(), type=RuntimeSet)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return None
    sound = all(Path(one.path).is_file() and Path(one.path).stat().st_size == one.bytes for one in known.libraries)
    return known if sound and all(Path(one.path).is_dir() for one in known.data) else None


def _moved(made: RuntimeSet, draft: Path, out: Path) -> RuntimeSet:
    """Return the set with the paths it has once its directory has its final name."""

    def path(text: str) -> str:
        return str(out / Path(text).relative_to(draft))

    return msgspec.structs.replace(
        made,
        root=path(made.root) if made.root is not None else None,
        libraries=tuple(msgspec.structs.replace(one, path=path(one.path)) for one in made.libraries),
        data=tuple(msgspec.structs.replace(one, path=path(one.path)) for one in made.data),
        licences=tuple(path(text) for text in made.licences),
    )
