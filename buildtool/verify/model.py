"""What a proof says: the frozen, versioned report of ``gpubuild verify --json`` (documented in docs/verify.md)."""

from __future__ import annotations

from typing import Literal

import msgspec

from buildtool.errors import NotProvedError, VerificationError
from buildtool.verify.loading import LoaderProof

SCHEMA = 1
Verdict = Literal["passed", "failed", "not-proved", "loader-proved", "skipped"]
Mode = Literal["quick", "full"]

EXIT_CODES: dict[Verdict, int] = {
    "passed": 0,
    "skipped": 0,
    "failed": VerificationError.exit_code,
    "not-proved": NotProvedError.exit_code,
    "loader-proved": NotProvedError.exit_code,
}


class Wheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wheel that was installed: `sha256` (hex) names the bytes that the verdict is about."""

    filename: str
    distribution: str
    version: str
    sha256: str


class Module(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shared library, as the dynamic loader sees it.

    Attributes:
        name: the file's name.
        backend: the ggml backend it implements (``cpu``, ``cuda``, ...), None for a plain library.
        loaded: whether the loader could load it with all its symbols resolved.
        score: what its own ``ggml_backend_score`` says about this CPU; 0 means it must not run here, None
            means it has no such function.
        error: the loader's own words.
        missing: the library that the loader did not find.
    """

    name: str
    backend: str | None = None
    loaded: bool
    score: int | None = None
    error: str = ""
    missing: str | None = None


class ListedDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device that llama.cpp itself offers: its ggml name, description, and memory in MiB."""

    name: str
    description: str
    total_mib: int
    free_mib: int


class Operations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``test-backend-ops`` found on one device.

    Attributes:
        device: the ggml device that was tested.
        passed: test cases whose result was within the case's own bound of the reference.
        total: test cases that ran.
        unsupported: test cases that the backend does not claim to support.
        failing: the cases that failed, as ``OP(parameters)``.
        upstream_failing: those of them that the baseline build fails too; None without a baseline.
        filter: the ``--ops`` filter that was in force; "" for every operation.
    """

    device: str
    passed: int
    total: int
    unsupported: int
    failing: tuple[str, ...] = ()
    upstream_failing: tuple[str, ...] | None = None
    filter: str = ""


class Agreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How closely two runs of one model and one prompt agree.

    Attributes:
        model: the model's file name.
        prompt: which prompt.
        reference: what computed the reference (``CPU``, ``CPU x64``, ``first run``).
        subject: what was compared with it.
        tokens: greedy tokens the reference produced.
        equal: how many of the first tokens are the same in both.
        divergence: why the runs may part after `equal` tokens: the reference's own two best tokens were closer
            than `bound`; "" when they do not part.
        max_error: largest absolute difference of the compared log-probabilities (natural logarithm), that is of
            the logits up to one constant per position.
        bound: largest difference that still counts as agreement.
        compared: how many log-probabilities were compared.
        agrees: the verdict.
    """

    model: str
    prompt: str
    reference: str
    subject: str
    tokens: int
    equal: int
    divergence: str = ""
    max_error: float
    bound: float
    compared: int
    agrees: bool


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``llama-bench`` figure.

    Attributes:
        test: ``pp512`` (prompt of 512 tokens) or ``tg128`` (128 generated tokens).
        device: what it ran on.
        model: the model's description by llama-bench.
        tokens_per_second: median of the repetitions; with a baseline, the median of that over the rounds.
        spread: standard deviation of the repetitions (without a baseline) or of the rounds, in tokens per second.
        baseline_tokens_per_second: the same of the baseline build.
        ratio: ours divided by the baseline's.
        ratio_range: the smallest and the largest ratio of a round of ours to the baseline's round beside it.
        rounds: how many alternating rounds each build ran.
    """

    test: str
    device: str
    model: str
    tokens_per_second: float
    spread: float
    baseline_tokens_per_second: float | None = None
    ratio: float | None = None
    ratio_range: tuple[float, float] | None = None
    rounds: int = 1


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the proof: what ran, how long (seconds), the verdict in a sentence, and the last lines seen."""

    name: str
    title: str
    verdict: Verdict
    seconds: float
    summary: str
    evidence: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one ``gpubuild verify`` found out.

    Attributes:
        schema: version of this structure.
        verdict: ``failed`` if a step failed, else ``not-proved`` if a step could not be proved, else ``passed``.
        exit_code: what the command exits with.
        mode: ``quick`` or ``full``.
        subject: the directory of executables, when no wheels were installed.
        runtime: version of the runtime wheel.
        backends: GPU backends that were to be proved.
        environment: where the environment was kept (``--keep``).
        loader: what an imitated device showed, where no real one is.
    """

    schema: int = SCHEMA
    verdict: Verdict
    exit_code: int
    mode: Mode
    platform: str
    subject: str | None = None
    runtime: str | None = None
    wheels: tuple[Wheel, ...] = ()
    backends: tuple[str, ...] = ()
    environment: str | None = None
    steps: tuple[Step, ...] = ()
    modules: tuple[Module, ...] = ()
    devices: tuple[ListedDevice, ...] = ()
    operations: tuple[Operations, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    figures: tuple[Figure, ...] = ()
    loader: LoaderProof | None = None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each step may take, in seconds; a step that runs longer fails and is ended."""

    install: float = 1800.0
    modules: float = 120.0
    devices: float = 120.0
    ops: float = 7200.0
    model: float = 900.0
    bench: float = 1800.0


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wishes of one run.

    Attributes:
        mode: how much is proved.
        model: a GGUF file, ``smollm2``, or None for the tiny model alone.
        baseline: directory with an upstream build's executables.
        ops: filter for ``test-backend-ops -o``.
        offline: no package index, only `find_links`.
        find_links: directories with wheels.
        system_site_packages: packages that are installed already count as dependencies.
        keep: leave the environment behind.
        key: file with the public key that every wheel must be signed with.
    """

    mode: Mode = "quick"
    model: str | None = None
    baseline: str | None = None
    ops: str | None = None
    offline: bool = False
    find_links: tuple[str, ...] = ()
    system_site_packages: bool = False
    keep: bool = False
    key: str | None = None
    timeouts: Timeouts = Timeouts()


def overall(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the verdict of a whole run: one failure fails it, one missing proof on a device leaves it unproved."""
    if "failed" in verdicts:
        return "failed"
    if {"not-proved", "loader-proved"} & set(verdicts) or not any(verdict == "passed" for verdict in verdicts):
        return "not-proved"
    return "passed"
