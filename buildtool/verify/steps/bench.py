"""Step 5: ``llama-bench`` figures; beside a baseline build's, in alternation on the same device."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import VerificationError
from buildtool.verify.findings import Findings, last_lines
from buildtool.verify.model import Figure, Options
from buildtool.verify.models import Model
from buildtool.verify.parse_bench import BenchRecord, parse_bench
from buildtool.verify.select import program
from buildtool.verify.subject import Subject

TITLE = "speed (llama-bench)"
PROGRAM = "llama-bench"
#: Order of alternating rounds: A B B A cancels a drift of the clock that is linear in time.
ORDER = ("ours", "baseline", "baseline", "ours")


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: prompt and generated tokens, repetitions in a round, times `ORDER` is gone through.

    Beside a baseline each side first runs a round that does not count: a GPU that was idle is slower for a while.
    """

    prompt: int
    generated: int
    repetitions: int
    cycles: int


LOADS: Mapping[str, Load] = {
    "quick": Load(prompt=64, generated=16, repetitions=2, cycles=1),
    "full": Load(prompt=512, generated=128, repetitions=10, cycles=3),
}


class _Side(msgspec.Struct, frozen=True, kw_only=True):
    program: Path
    env: dict[str, str]


def check(subject: Subject, devices: tuple[str, ...], model: Model, options: Options) -> Findings:
    """Measure `model` on every device, or on the CPU when there is none.

    Raises:
        VerificationError: llama-bench printed no figures, or the baseline has none.
        ProcessError: it crashed or hung.
    """
    path = subject.program(PROGRAM)
    if path is None:
        return Findings(verdict="not-proved", summary=f"the artefact has no {PROGRAM}")
    sides = {"ours": _Side(program=path, env=subject.env if devices else subject.cpu_env)}
    if options.baseline:
        sides["baseline"] = _Side(program=_baseline(Path(options.baseline)), env=subject.baseline_env)
    figures: list[Figure] = []
    evidence: list[str] = []
    for device in devices or (None,):
        rounds = _measure(sides, subject.scratch, model, device, options)
        figures += summarise(rounds, device or "CPU")
        evidence += [f"{side}: {_origin(records[0][0])}" for side, records in rounds.items()]
    summary = "; ".join(_sentence(figure) for figure in figures)
    return Findings(verdict="passed", summary=summary, evidence=tuple(evidence), figures=tuple(figures))


def _baseline(directory: Path) -> Path:
    path = program(directory, PROGRAM)
    if path is None:
        what = f"The baseline {str(directory)!r} has no {PROGRAM}."
        raise VerificationError(what)
    return path


def _measure(
    sides: Mapping[str, _Side], scratch: Path, model: Model, device: str | None, options: Options
) -> dict[str, list[tuple[BenchRecord, ...]]]:
    load = LOADS[options.mode]
    order = (*sides, *ORDER * load.cycles) if "baseline" in sides else ("ours",)
    rounds: dict[str, list[tuple[BenchRecord, ...]]] = {name: [] for name in sides}
    for name in order:
        argv = [str(sides[name].program), "-m", str(model.path), "-o", "jsonl", "-r", str(load.repetitions),
                "-p", str(load.prompt), "-n", str(load.generated), "-ngl", "999" if device else "0",
                "-dev", device or "none"]  # fmt: skip
        done = process.run(argv, cwd=scratch, env=sides[name].env, timeout_s=options.timeouts.bench)
        records = parse_bench(done.output)
        if not records:
            what = f"{PROGRAM} printed no figures."
            raise VerificationError(what, details=last_lines(done.output))
        rounds[name].append(records)
    return {name: runs[1:] if "baseline" in sides else runs for name, runs in rounds.items()}


def summarise(rounds: Mapping[str, Sequence[tuple[BenchRecord, ...]]], device: str) -> tuple[Figure, ...]:
    """Turn the rounds of ours, and of the baseline if there are any, into one figure for every test.

    Args:
        rounds: records of every round under ``ours`` and ``baseline``.
        device: what they ran on.
    """
    ours, baseline = _by_test(rounds["ours"]), _by_test(rounds.get("baseline", ()))
    return tuple(_figure(test, records, baseline.get(test, []), device) for test, records in ours.items())


def _by_test(rounds: Sequence[tuple[BenchRecord, ...]]) -> dict[str, list[BenchRecord]]:
    found: dict[str, list[BenchRecord]] = {}
    for records in rounds:
        for record in records:
            found.setdefault(record.test, []).append(record)
    return found


def _figure(test: str, ours: list[BenchRecord], baseline: list[BenchRecord], device: str) -> Figure:
    speeds = [record.speed for record in ours]
    speed, theirs = statistics.median(speeds), None
    ratio, ratios = None, None
    if baseline:
        theirs = statistics.median(record.speed for record in baseline)
        ratio = speed / theirs
        pairs = [one / other.speed for one, other in zip(speeds, baseline, strict=True)]
        ratios = (min(pairs), max(pairs))
    return Figure(
        test=test,
        device=device,
        model=ours[0].model_type,
        tokens_per_second=speed,
        spread=statistics.stdev(speeds) if len(speeds) > 1 else ours[0].stddev_ts,
        baseline_tokens_per_second=theirs,
        ratio=ratio,
        ratio_range=ratios,
        rounds=len(speeds),
    )


def _origin(record: BenchRecord) -> str:
    hardware = record.gpu_info or record.cpu_info
    return f"{record.model_type}, {record.backends} on {hardware}, commit {record.build_commit}"


def _sentence(figure: Figure) -> str:
    ratio = ""
    if figure.ratio is not None and figure.ratio_range is not None:
        low, high = figure.ratio_range
        ratio = f" ({figure.ratio:.3f} of the baseline, {low:.3f} to {high:.3f} by round)"
    return f"{figure.device} {figure.test} {figure.tokens_per_second:.1f} t/s{ratio}"
