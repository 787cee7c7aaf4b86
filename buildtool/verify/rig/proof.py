"""The loader proof of a directory of libraries, for every target it is meant to serve."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from buildtool.errors import GpubuildError
from buildtool.store.entries import Store
from buildtool.toolchain.rootfs import make
from buildtool.toolchain.sandbox import Sandbox, open_sandbox
from buildtool.verify.loading import LABEL, Exercise, LoaderProof, TargetProof, overall
from buildtool.verify.rig.compile import build
from buildtool.verify.rig.devices import Device, device_for
from buildtool.verify.rig.judge import judge
from buildtool.verify.rig.libraries import find
from buildtool.verify.rig.run import Bench

TIMEOUT_S = 600.0


def loader_proof(
    directory: Path,
    targets: Sequence[str],
    *,
    beside: Sequence[Path] = (),
    sandbox: Sandbox | None = None,
    environment: Mapping[str, str] | None = None,
    store: Store | None = None,
    timeout_s: float = TIMEOUT_S,
) -> LoaderProof:
    """Run a directory's rocBLAS and ggml HIP module before imitated devices.

    Args:
        directory: holds ``librocblas.so*`` (with its ``library`` folder), ``libggml-hip*.so``, or both, in it or below.
        targets: the devices, as ``gfx1032`` or ``gfx90a:xnack-``; features left out are what devices report.
        beside: further directories with libraries that those need, such as the one of ``libggml-base``. The folder
            above `directory` is looked through as well.
        sandbox: root filesystem to compile and run in, for libraries that need another C library than this machine's.
        environment: further variables for the programs.
        store: where the compiled programs are kept; by default the user's own store.
        timeout_s: how long one run may take.

    Returns:
        A verdict per target, with everything that was asked for, opened, accepted, refused and launched. Nothing of it
        was computed on a device.

    Raises:
        InvalidInputError: the directory holds nothing to prove, or a target is not AMD's.
        UnknownNameError: nobody knows a target.
        MissingToolError: there is no compiler, or this is not Linux.
        ProcessError: the compiler failed.
        StorageError: the store cannot be written.
    """
    devices = [device_for(target) for target in targets]
    libraries = find(directory, beside)
    inside = Path(sandbox.tree).parent.name if sandbox is not None else ""
    if not libraries.runtime:
        summary = "no library asks for a HIP runtime"
        return LoaderProof(directory=str(directory), verdict="not-proved", summary=summary, inside=inside)
    with tempfile.TemporaryDirectory(prefix="gpubuild-rig-") as name:
        place = Path(name).resolve()
        bench = Bench(
            libraries=libraries,
            rig=build(libraries, sandbox, store),
            place=place,
            sandbox=sandbox,
            environment=environment or {},
            timeout_s=timeout_s,
        )
        proofs = []
        for device in devices:
            exercises = _exercises(bench, device)
            verdict = overall(tuple(exercise.verdict for exercise in exercises))
            proofs.append(TargetProof(target=device.target, verdict=verdict, exercises=exercises))
    verdict = overall(tuple(proof.verdict for proof in proofs))
    return LoaderProof(
        directory=str(directory),
        verdict=verdict,
        summary=_summary(tuple(proofs)),
        runtime=libraries.runtime,
        inside=inside,
        targets=tuple(proofs),
    )


def proof_here_or_inside(directory: Path, targets: Sequence[str], *, beside: Sequence[Path] = ()) -> LoaderProof:
    """Prove on this machine; what it lacks for that, a root filesystem with ROCm from the store may have.

    Raises:
        GpubuildError: as `loader_proof`.
    """
    proof = loader_proof(directory, targets, beside=beside)
    if proof.verdict != "not-proved":
        return proof
    for sandbox in _root_filesystems():
        other = loader_proof(directory, targets, beside=beside, sandbox=sandbox)
        if other.verdict != "not-proved":
            return other
    return proof


def _root_filesystems() -> Iterator[Sandbox]:
    """Open the store's root filesystems with ROCm, the newest first, as far as this machine lets us."""
    entries = [entry for entry in Store().entries(make.KIND) if entry.facts.get("kind") == "rocm"]
    for entry in sorted(entries, key=lambda entry: entry.created, reverse=True):
        try:
            yield open_sandbox(entry.path)
        except GpubuildError:
            continue


def _exercises(bench: Bench, device: Device) -> tuple[Exercise, ...]:
    libraries, found = bench.libraries, []
    if libraries.rocblas is not None:
        found.append(judge("rocblas", bench.run(bench.rig.gemm, [libraries.rocblas], [device])))
    if libraries.module is not None:
        if libraries.base is None:
            summary = "there is no libggml-base beside the module"
            found.append(Exercise(name="ggml-hip", verdict="not-proved", summary=summary))
        else:
            arguments = [libraries.base, libraries.module]
            found.append(judge("ggml-hip", bench.run(bench.rig.graph, arguments, [device])))
    return tuple(found)


def _summary(proofs: tuple[TargetProof, ...]) -> str:
    for verdict in ("failed", "not-proved"):
        for proof in proofs:
            bad = next((one for one in proof.exercises if one.verdict == verdict), None)
            if bad is not None:
                return f"{bad.name} for {proof.target}: {bad.summary}"
    names = ", ".join(proof.target for proof in proofs)
    return f"{LABEL}: {names}" if proofs else "no target was named"
