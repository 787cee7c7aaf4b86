"""Packages a build tree: one runtime wheel and, for a GPU, one backend wheel."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal, NamedTuple

import msgspec

from buildtool.build.configure import hermetic_environment
from buildtool.build.model import BuildTree
from buildtool.compat.lock import lock_bytes
from buildtool.compat.model import Plan, PlanWheel
from buildtool.compat.parts import plan_of_wheel
from buildtool.errors import BuildError, InvalidInputError, ProcessError
from buildtool.process import run
from buildtool.runtime import RuntimeSet
from buildtool.source.model import SourceTree
from buildtool.store.digest import sha256_of
from buildtool.store.storage import storage_errors
from buildtool.wheel.content import LOCK, PROVENANCE, SBOM, Content, tools_here
from buildtool.wheel.delivery import deliver, intact, require_folder
from buildtool.wheel.embedded import embedded_code
from buildtool.wheel.filename import platform_of
from buildtool.wheel.model import Wheel
from buildtool.wheel.project import PAYLOAD, write_project
from buildtool.wheel.provenance import statement
from buildtool.wheel.reading import VARIANT
from buildtool.wheel.sbom import sbom
from buildtool.wheel.sealing import Digests, seal
from buildtool.wheel.tag import platform_tag
from buildtool.wheel.variants import variant_of

__all__ = ["Want", "Wheel", "pack", "require_writable"]

# The draft is only read again: `seal` compresses everything. scikit-build-core has no setting for that, so its program
# is given a zlib whose default is no compression.
_BUILD_WHEEL = (
    "import json, sys, zlib; zlib.Z_DEFAULT_COMPRESSION = zlib.Z_NO_COMPRESSION; "
    "from scikit_build_core.build import build_wheel; print(build_wheel(sys.argv[1], json.loads(sys.argv[2])))"
)
FULL = ("No space left on device", "Disk quota exceeded", "File too large")  # as programs say it in the C locale
RECORD = "gpubuild-wheels.json"
LAYOUT = 3  # part of every record: a change in how wheels are packed makes them anew
CLOCK = "SOURCE_DATE_EPOCH"
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
FIRST_SECOND, LAST_SECOND = 315532800, 4354819198  # 1980 to 2107: what a zip archive can hold


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """Which wheels to pack: those of one `role`, or all; with `variants` as variants where that says something."""

    role: Literal["runtime", "backend"] | None = None
    variants: bool = False


ALL = Want()


class _Job(NamedTuple):
    """What the wheels are made from."""

    plan: Plan
    tree: BuildTree
    vendor: RuntimeSet
    source: SourceTree
    variants: bool


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """Which wheels a build tree was packed into, and for which plan."""

    layout: int
    variants: bool = False
    clock: int
    plan: str
    built: str
    vendor: str
    wheels: tuple[Wheel, ...]


def _packed_before(job: _Job, wanted: tuple[PlanWheel, ...]) -> tuple[Wheel, ...]:
    """Return the wheels that an unchanged build tree was packed into; empty when they must be packed anew."""
    kept = Path(job.tree.path) / "wheels"
    try:
        record = msgspec.json.decode((kept / RECORD).read_bytes(), type=_Record)
    except (OSError, ValueError):
        return ()
    known = (record.layout, record.clock, record.plan, record.built, record.vendor, record.variants)
    same = known == (LAYOUT, clock(), job.plan.digest(), _built(job.tree), _digest(job.vendor), job.variants)
    same = same and [wheel.role for wheel in record.wheels] == [wheel.role for wheel in wanted]
    return record.wheels if same and all(intact(wheel) for wheel in record.wheels) else ()


def pack(
    plan: Plan,
    tree: BuildTree,
    source: SourceTree,
    vendor: RuntimeSet,
    out: Path,
    *,
    on_step: Callable[[str], None] | None = None,
    want: Want = ALL,
) -> tuple[Wheel, ...]:
    """Pack the wheels of the plan, with the vendor libraries that travel, and deliver them by atomic renames.

    Args:
        plan: what was built.
        tree: the build tree, with the components of the wheels in it.
        source: the tree it was built from.
        vendor: what travels with the backend.
        out: where the wheels go.
        on_step: called with what is done next.
        want: which of the plan's wheels, and whether as variants.

    Raises:
        BuildError: packing failed, or a binary needs a library that would not travel.
        IncompatibleError: a target has no name among the properties of variants.
        StorageError: the disk is full, or `out` cannot be written; nothing half-written is left.
    """
    from filelock import FileLock

    place = Path(tree.path)
    # A second run of the same plan finds the first one's wheels.
    with storage_errors(place, "the wheels"), FileLock(place / "wheels.lock"):
        job = _Job(plan, tree, vendor, source, want.variants)
        wanted = tuple(wheel for wheel in plan.wheels if want.role is None or wheel.role == want.role)
        wheels = _packed_before(job, wanted) or _pack_all(job, wanted, on_step)
        return deliver(wheels, out)


def _pack_all(job: _Job, wanted: tuple[PlanWheel, ...], on_step: Callable[[str], None] | None) -> tuple[Wheel, ...]:
    kept = Path(job.tree.path) / "wheels"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    try:
        with Path(job.tree.log).open("a", encoding="utf-8") as log:
            wheels = tuple(_pack_one(job, wheel, kept, (log, on_step)) for wheel in wanted)
        record = _Record(
            layout=LAYOUT,
            variants=job.variants,
            clock=clock(),
            plan=job.plan.digest(),
            built=_built(job.tree),
            vendor=_digest(job.vendor),
            wheels=wheels,
        )
        (kept / RECORD).write_bytes(msgspec.json.encode(record))
    except BaseException:  # a full disk, Ctrl-C: half of the wheels are of no use
        shutil.rmtree(kept, ignore_errors=True)
        raise
    return wheels


def _pack_one(job: _Job, wheel: PlanWheel, kept: Path, told: tuple[IO[str], Callable[[str], None] | None]) -> Wheel:
    content = (job.plan, wheel, job.tree, job.vendor)
    log, on_step = told
    variant = variant_of(job.plan, wheel) if job.variants else None
    if on_step is not None:
        on_step(f"packing {wheel.distribution}")
    with tempfile.TemporaryDirectory(dir=kept, prefix=f"{wheel.role}-") as name:
        project, draft, sealed, scratch = (Path(name) / part for part in ("project", "draft", "sealed", "scratch"))
        for folder in (project, draft, sealed, scratch):
            folder.mkdir()
        write_project(project, *content, variant=variant)
        # A large wheel needs its room here, not in the system's folder for temporary files.
        env = hermetic_environment(job.source, {CLOCK: str(clock())} | dict.fromkeys(TEMPORARY, str(scratch)))
        made = _build_wheel(project, draft, variant.settings if variant is not None else {}, env, log)
        tag = platform_tag(made, scratch)
        shown = tag or platform_of(made.name)
        whole, _ = seal(made, sealed, tag, lambda info_dir, files: _description(content, (shown, info_dir), files))
        final = whole.replace(kept / whole.name)
    return Wheel(
        role=wheel.role,
        path=str(final),
        distribution=wheel.distribution,
        version=wheel.version,
        tag=shown,
        sha256=sha256_of(final),
        bytes=final.stat().st_size,
    )


def _description(
    content: tuple[Plan, PlanWheel, BuildTree, RuntimeSet], names: tuple[str, str], files: Digests
) -> dict[str, bytes]:
    """Return what a wheel says about itself: lock, bill of materials, provenance."""
    plan, wheel, tree, vendor = content
    facts = Content(
        plan=plan_of_wheel(plan, wheel),
        wheel=wheel,
        tag=names[0],
        info_dir=names[1],
        files=files,
        embedded=embedded_code(plan.recipe, Path(tree.source)) if wheel.role == "runtime" else (),
        vendor=vendor,
        tools=tools_here(*(("variantlib",) if f"{names[1]}/{VARIANT}" in files else ())),
    )
    said = {LOCK: lock_bytes(facts.plan), SBOM: sbom(facts)}
    own = {f"{facts.info_dir}/{name}": (hashlib.sha256(data).hexdigest(), len(data)) for name, data in said.items()}
    all_of_it = msgspec.structs.replace(facts, files=files | own)
    return said | {PROVENANCE: statement(all_of_it, clock())}


def clock() -> int:
    """Return the time that every file of a wheel carries, in seconds since 1970: SOURCE_DATE_EPOCH, else 1980.

    Raises:
        InvalidInputError: SOURCE_DATE_EPOCH is no time that a zip archive can hold.
    """
    text = os.environ.get(CLOCK, "").strip()
    if not text:
        return FIRST_SECOND
    if not text.isdecimal() or not FIRST_SECOND <= int(text) <= LAST_SECOND:
        what = f"{CLOCK} is {text!r}, which is no time that a wheel can carry."
        raise InvalidInputError(what, hint=f"Set it to seconds between {FIRST_SECOND} and {LAST_SECOND}, or unset it.")
    return int(text)


def _build_wheel(project: Path, out: Path, settings: dict[str, str], env: dict[str, str], log: IO[str]) -> Path:
    argv = [sys.executable, "-c", _BUILD_WHEEL, str(out), msgspec.json.encode(settings).decode()]
    try:
        run(argv, cwd=project, env=env, log=log)
    except ProcessError as error:
        if any(words in line for line in error.details for words in FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out)) from error
        what = "Packing the wheel failed."
        raise BuildError(what, why=f"Full log: {log.name}", details=error.details) from error
    return next(out.glob("*.whl"))


def require_writable(out: Path) -> None:
    """Find out before an hour of compiling that the wheels could not be written.

    Raises:
        StorageError: `out` cannot be created or written.
        InvalidInputError: SOURCE_DATE_EPOCH is no time that a wheel can carry.
    """
    clock()
    require_folder(out)


def _built(tree: BuildTree) -> str:
    """Return a digest of what was built, and of the Python package around it, which a newer gpubuild changes.

    Names, sizes and times tell of what was built: upstream runs some steps every time, without effect.
    """
    files = sorted(path for path in (Path(tree.path) / "bin").rglob("*") if path.is_file())
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    package = [path.read_text("utf-8") for path in sorted(PAYLOAD.rglob("*.py"))]
    return hashlib.sha256(msgspec.json.encode([stats, package])).hexdigest()


def _digest(vendor: RuntimeSet) -> str:
    return hashlib.sha256(msgspec.json.encode(vendor)).hexdigest()
