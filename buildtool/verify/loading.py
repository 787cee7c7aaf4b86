"""What a loader proof says: frozen values, a part of ``gpubuild verify --json``."""

from __future__ import annotations

from typing import Literal

import msgspec

LABEL = "loader-proved, not run"
ProofVerdict = Literal["loader-proved", "failed", "not-proved"]


class FatBinaries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many fat binaries a library registered, and how many of them hold code that the loader takes.

    Attributes:
        library: the file's name.
        registered: all of them.
        accepted: those with a code object for the device.
        reason: why the first of the others was refused, "" without one.
    """

    library: str
    registered: int
    accepted: int
    reason: str = ""


class CodeObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code object that the program gave to ``hipModuleLoad``.

    Attributes:
        target: what its ELF header says it is for.
        accepted: whether the loader takes it for the device.
        reason: of a refusal.
        kernels: how many it holds.
    """

    target: str
    accepted: bool
    reason: str = ""
    kernels: int = 0


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of the driver program into the library, and its status: 0 is success."""

    call: str
    status: int


class Exercise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of a driver program before an imitated device.

    Attributes:
        name: ``rocblas`` or ``ggml-hip``.
        verdict: what came of it.
        summary: in a sentence.
        calls: what was asked of the library.
        fat_binaries: per library that registered device code.
        files: names of the tables and code objects that were opened, in order.
        tuned: whether a table made for the processor was read, not only the fallback tables; None without rocBLAS.
        code_objects: what was loaded at run time.
        launches: names of the kernels that reached the launch, each once.
        refused: launches that HIP would refuse, with the reason.
        absent: functions of HIP that were called and are not imitated.
        output: the last lines that were printed.
    """

    name: str
    verdict: ProofVerdict
    summary: str
    calls: tuple[Call, ...] = ()
    fat_binaries: tuple[FatBinaries, ...] = ()
    files: tuple[str, ...] = ()
    tuned: bool | None = None
    code_objects: tuple[CodeObject, ...] = ()
    launches: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class TargetProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proof for one device: `target` as the device was made to report it."""

    target: str
    verdict: ProofVerdict
    exercises: tuple[Exercise, ...] = ()


class LoaderProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proofs for every target of one set of libraries.

    Attributes:
        directory: where the libraries are.
        label: what the verdict means in words.
        verdict: ``failed`` if a target failed, else ``not-proved`` if one is not proved.
        summary: in a sentence.
        runtime: the HIP library that was imitated (``libamdhip64.so.6``), "" when nothing asked for one.
        inside: the root filesystem that everything ran in, "" for this machine itself.
        targets: one proof per device.
    """

    directory: str
    label: str = LABEL
    verdict: ProofVerdict
    summary: str
    runtime: str = ""
    inside: str = ""
    targets: tuple[TargetProof, ...] = ()


def overall(verdicts: tuple[ProofVerdict, ...]) -> ProofVerdict:
    """Return the verdict of the whole: the worst one, and nothing is proved by no proof."""
    if "failed" in verdicts:
        return "failed"
    return "loader-proved" if verdicts and set(verdicts) == {"loader-proved"} else "not-proved"
