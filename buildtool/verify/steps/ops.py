"""Step 3: ``test-backend-ops`` compares every operation of a device with ggml's CPU reference.

The reference is the CPU module with its plain code where it has such (``ggml_backend_cpu_set_use_ref``). On a runtime
without a GPU backend the CPU module is compared with that, which proves less: both share most of their code.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import VerificationError
from buildtool.verify.findings import Findings, last_lines
from buildtool.verify.model import Operations, Options
from buildtool.verify.parse_ops import OpsDevice, accepts_workers, parse_ops
from buildtool.verify.select import program
from buildtool.verify.subject import Subject

TITLE = "operations agree with the CPU reference"
PROGRAM = "test-backend-ops"
#: What a quick proof runs: the operations every transformer needs.
QUICK = "ADD,MUL,RMS_NORM,ROPE,SOFT_MAX,GET_ROWS,SET_ROWS,SWIGLU,MUL_MAT"
#: The same where the CPU is compared with itself: matrix products take minutes there and are proved by the model step,
#: whose right answers do not come from ggml.
QUICK_CPU = "ADD,MUL,RMS_NORM,ROPE,SOFT_MAX,GET_ROWS,SET_ROWS,SWIGLU"
#: How often the baseline may try a case that failed in ours: its input is random and may sit on the bound.
REPEATS = 10
MAX_WORKERS = 8


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One ``test-backend-ops``, ours or the baseline's, and how to run it."""

    program: Path
    env: dict[str, str]
    scratch: Path
    workers: int
    timeout_s: float

    def run(self, device: str, ops: str | None) -> tuple[OpsDevice, str]:
        """Run it on one device and return what it found and all it printed.

        Raises:
            VerificationError: it crashed, ran out of time, or did not know the device.
        """
        argv = [str(self.program), "test", "-b", device]
        argv += ["-j", str(self.workers)] if self.workers > 1 else []
        argv += ["-o", ops] if ops else []
        done = process.run(argv, cwd=self.scratch, env=self.env, timeout_s=self.timeout_s, check=False)
        output = parse_ops(done.output)
        found = output.device(device)
        if found is None or found.skipped:
            what = f"{PROGRAM} does not list the device {device}."
            raise VerificationError(what, details=last_lines(done.output))
        unexplained = done.timed_out or (done.returncode != 0 and found.status != "FAIL")
        if not output.complete or found.total is None or unexplained:
            raise _broken(done, found, self.timeout_s)
        return found, done.output


def _broken(done: process.Completed, found: OpsDevice, timeout_s: float) -> VerificationError:
    reason = process.failure(done, (), timeout_s).what if done.timed_out or done.returncode else "it ended early"
    where = f"the last case it began was {found.last_case}" if found.last_case else "no case had begun"
    if found.total is not None:
        where = "every case had ended"
    what = f"{PROGRAM} on {found.name} did not come to its end: {reason}"
    return VerificationError(what, why=where, details=last_lines(done.output))


def check(subject: Subject, devices: tuple[str, ...], options: Options) -> Findings:
    """Run the operations on every device; with a baseline, look whether it has the same failures.

    Raises:
        VerificationError: the program crashed or hung.
    """
    path = subject.program(PROGRAM)
    if path is None:
        return Findings(verdict="not-proved", summary=f"the artefact has no {PROGRAM}")
    quick = QUICK_CPU if devices == ("CPU",) else QUICK
    ops = options.ops or (quick if options.mode == "quick" else None)
    ours = _build(path, subject, subject.env, options)
    results: list[Operations] = []
    evidence: list[str] = []
    for device in devices:
        found, output = ours.run(device, ops)
        upstream = _upstream_failing(subject, device, found.failing, options)
        results.append(_operations(found, ops, upstream))
        evidence += last_lines(output, 6)
    return judge(tuple(results), tuple(evidence))


def _build(path: Path, subject: Subject, env: dict[str, str], options: Options) -> Build:
    usage = process.run([str(path), "--help"], cwd=subject.scratch, env=env, timeout_s=60, check=False)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(MAX_WORKERS, cpus // 2)) if accepts_workers(usage.output) else 1
    return Build(program=path, env=env, scratch=subject.scratch, workers=workers, timeout_s=options.timeouts.ops)


def _upstream_failing(
    subject: Subject, device: str, failing: tuple[str, ...], options: Options
) -> tuple[str, ...] | None:
    """Return those failures that the baseline shows too, within `REPEATS` tries; None if it was not asked."""
    path = program(Path(options.baseline), PROGRAM) if options.baseline else None
    if path is None or not failing:
        return None
    baseline = _build(path, subject, subject.baseline_env, options)
    return tuple(case for case in failing if any(baseline.run(device, case)[0].failing for _ in range(REPEATS)))


def _operations(found: OpsDevice, ops: str | None, upstream: tuple[str, ...] | None) -> Operations:
    return Operations(
        device=found.name,
        passed=found.passed or 0,
        total=found.total or 0,
        unsupported=found.unsupported,
        failing=found.failing,
        upstream_failing=upstream,
        filter=ops or "",
    )


def judge(results: tuple[Operations, ...], evidence: tuple[str, ...]) -> Findings:
    """Decide: a case fails the artefact unless the baseline shows the same failure; running none proves nothing."""
    counts = "; ".join(f"{result.device} {result.passed}/{result.total}" for result in results)
    ours = [
        f"{result.device}: {case}"
        for result in results
        for case in result.failing
        if case not in (result.upstream_failing or ())
    ]
    unnamed = any(result.passed + len(result.failing) < result.total for result in results)
    shared = sum(len(result.upstream_failing or ()) for result in results)
    if ours or unnamed:
        summary = f"{counts} cases passed, {len(ours)} failures of our own"
        return Findings(verdict="failed", summary=summary, evidence=(*ours, *evidence), operations=results)
    if not results or any(result.total == 0 for result in results):
        summary = f"{counts or 'no device'}: no case ran"
        return Findings(verdict="not-proved", summary=summary, evidence=evidence, operations=results)
    note = f", {shared} failures are the baseline's too" if shared else ""
    return Findings(verdict="passed", summary=f"{counts} cases passed{note}", evidence=evidence, operations=results)
