"""The step for ROCm without the card: the real libraries before an imitated device, by the real loader's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from buildtool.codeobj import targets_of
from buildtool.errors import MissingToolError, ProcessError, StorageError
from buildtool.store import archive
from buildtool.verify.backends import backend_of_module, is_device_of
from buildtool.verify.findings import EVIDENCE_LINES, Findings
from buildtool.verify.loading import Exercise
from buildtool.verify.model import ListedDevice
from buildtool.verify.rig import LoaderProof, proof_here_or_inside

TITLE = "the loader takes it (an imitated device)"
BACKEND = "rocm"


def is_called_for(backends: Sequence[str], devices: Sequence[ListedDevice]) -> bool:
    """Tell whether the artefact holds ROCm and no real device shows whether it works."""
    return BACKEND in backends and not any(is_device_of(device.name, BACKEND) for device in devices)


def check(modules: Sequence[Path], beside: Sequence[Path]) -> Findings:
    """Prove ggml's HIP module, and the rocBLAS beside it, for every target that the module holds.

    Args:
        modules: loadable modules of the artefact.
        beside: directories with the libraries that they lean on.

    Raises:
        GpubuildError: a library cannot be read.
    """
    module = next((path for path in modules if backend_of_module(path.name) == BACKEND), None)
    if module is None:
        return Findings(verdict="skipped", summary="there is no module for ROCm")
    targets = [target for target in targets_of(module) if target.startswith("gfx")]
    if not targets:
        return Findings(verdict="failed", summary=f"{module.name} holds no device code")
    try:
        proof = proof_here_or_inside(module.parent, targets, beside=beside)
    except (MissingToolError, ProcessError, StorageError) as error:  # of the imitation: it was not made
        evidence = error.details[-EVIDENCE_LINES:]
        return Findings(verdict="not-proved", summary=f"{error.what} {error.hint}".rstrip(), evidence=evidence)
    return judge(proof)


def judge(proof: LoaderProof) -> Findings:
    """Turn a loader proof into a step's verdict; the whole proof goes into the report."""
    evidence = []
    for target in proof.targets:
        evidence += [f"{target.target}, {one.name}: {one.verdict}: {one.summary}" for one in target.exercises]
        evidence += [f"{target.target}, {one.name}: {note}" for one in target.exercises for note in _notes(one)]
    if proof.inside:
        evidence.append(f"in the root filesystem {proof.inside}")
    return Findings(verdict=proof.verdict, summary=proof.summary, evidence=tuple(evidence), loader=proof)


def _notes(exercise: Exercise) -> Iterator[str]:
    if exercise.tuned is False:
        yield "no table made for this processor was read: the general kernels serve it, which are slower"
    if exercise.absent:
        yield f"asked for what is not imitated: {', '.join(exercise.absent)}"


def unpacked(wheels: Sequence[Path], place: Path) -> tuple[list[Path], list[Path]]:
    """Unpack wheels that cannot be installed here; return their modules, and the folders of what those lean on.

    Raises:
        UnsafeArchiveError: a wheel would write outside of its folder.
        InvalidInputError: a wheel is damaged.
        StorageError: there is not enough space.
    """
    for wheel in wheels:
        folder = place / wheel.stem
        folder.mkdir(parents=True)
        archive.unpack(wheel, folder)
    modules = sorted(path for path in place.rglob("*ggml-*") if backend_of_module(path.name) == BACKEND)
    return modules, sorted({path.parent for path in place.rglob("libggml-base*")})
