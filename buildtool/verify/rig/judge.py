"""What a run before an imitated device proves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from buildtool.verify.findings import last_lines
from buildtool.verify.loading import Call, CodeObject, Exercise, FatBinaries, ProofVerdict
from buildtool.verify.rig import record
from buildtool.verify.rig.run import Ran

NOT_LOADED = 3  # what the driver programs exit with when a library does not load, or lacks a function
ERROR = re.compile(r"\berror\b", re.IGNORECASE)
OLD_LIBC = re.compile(r"version `GLIBC(?:XX)?_\S+' not found")
MISSING = re.compile(r"^(?:.*: )?(\S+): cannot open shared object file", re.MULTILINE)
#: Libraries all of whose device code must suit the device; of others only what is launched.
OWN = re.compile(r"lib(?:rocblas|ggml-hip)\b")
LIBRARY_TABLE = re.compile(r"TensileLibrary(?:_lazy)?(?:_gfx\w+)?\.(?:dat|yaml)$")
_Kind = TypeVar("_Kind")
TUNED_TABLE = re.compile(r"TensileLibrary_Type_.*_gfx[0-9a-f]+\.(?:dat|yaml)$")


def judge(name: str, ran: Ran) -> Exercise:
    """Turn the record of a run into a verdict."""
    calls = _calls(ran.completed.output)
    binaries = _fat_binaries(ran.events)
    files = _unique(PurePosixPath(event.path).name for event in _of(record.OpenEvent, ran.events) if event.opened)
    launches = _unique(event.kernel for event in _of(record.LaunchEvent, ran.events))
    refused = _unique(_refusal(event) for event in _of(record.RefusedEvent, ran.events))
    verdict, summary = _verdict(ran, calls, binaries, launches, refused)
    tables = [file for file in files if LIBRARY_TABLE.match(file)]
    return Exercise(
        name=name,
        verdict=verdict,
        summary=summary,
        calls=calls,
        fat_binaries=binaries,
        files=files,
        tuned=any(TUNED_TABLE.match(file) for file in files) if tables else None,
        code_objects=tuple(
            CodeObject(target=event.target, accepted=event.accepted, reason=event.reason, kernels=event.kernels)
            for event in _of(record.ModuleEvent, ran.events)
        ),
        launches=launches,
        refused=refused,
        absent=_unique(event.function for event in _of(record.AbsentEvent, ran.events)),
        output=last_lines("\n".join(line for line in ran.completed.output.splitlines() if not line.startswith("{"))),
    )


def _verdict(
    ran: Ran,
    calls: tuple[Call, ...],
    binaries: tuple[FatBinaries, ...],
    launches: tuple[str, ...],
    refused: tuple[str, ...],
) -> tuple[ProofVerdict, str]:
    done = ran.completed
    if not calls and (here := _lacking(done.output)):
        return "not-proved", here
    problems = [f"{call.call} answered {call.status}" for call in calls if call.status]
    problems += list(refused)
    for row in binaries:
        if OWN.match(row.library) and row.accepted < row.registered:
            problems.append(
                f"{row.registered - row.accepted} of {row.registered} fat binaries of {row.library}: {row.reason}"
            )
    if done.timed_out:
        problems.insert(0, "it did not finish")
    elif done.returncode == NOT_LOADED:
        problems.insert(0, (last_lines(done.output, 1) or ("a library does not load",))[0])
    elif done.returncode:
        after = f" after {calls[-1].call}" if calls else ""
        said = next((f": {line.strip()}" for line in done.output.splitlines() if ERROR.search(line)), "")
        problems.insert(0, f"it ended with {_ending(done.returncode)}{after}{said}")
    if problems:
        return "failed", problems[0] + (f", and {len(problems) - 1} more" if len(problems) > 1 else "")
    if not launches:
        return "failed", "no kernel was launched"
    loaded = sum(event.accepted for event in _of(record.ModuleEvent, ran.events))
    registered = sum(row.accepted for row in binaries)
    words = f"{len(calls)} calls, {registered} fat binaries and {loaded} loaded code objects accepted"
    return "loader-proved", f"{words}, {len(launches)} kernels up to their launch"


def _lacking(output: str) -> str:
    """Say what the libraries need of the machine that it does not have; "" when they loaded."""
    if OLD_LIBC.search(output):
        return "its libraries need a newer C library than this machine has"
    missing = MISSING.search(output)
    return f"they need {missing[1]}, which is not here" if missing else ""


def _ending(code: int) -> str:
    number = -code if code < 0 else code - 128  # a shell's or sandbox's way to tell a signal
    names = {4: "SIGILL", 6: "an abort", 7: "SIGBUS", 11: "a crash"}
    return names.get(number, f"exit code {code}")


def _refusal(event: record.RefusedEvent) -> str:
    return f"{event.kernel or 'a kernel'} of {PurePosixPath(event.library).name or 'no library'}: {event.reason}"


def _calls(output: str) -> tuple[Call, ...]:
    found = []
    for line in output.splitlines():
        try:
            row = json.loads(line) if line.startswith('{"call"') else None
        except ValueError:
            continue  # a line that the program under test cut through
        if isinstance(row, dict):
            found.append(Call(call=str(row["call"]), status=int(row["status"])))
    return tuple(found)


def _fat_binaries(events: tuple[record.Event, ...]) -> tuple[FatBinaries, ...]:
    per_library: dict[str, list[record.FatBinaryEvent]] = {}
    for event in _of(record.FatBinaryEvent, events):
        per_library.setdefault(PurePosixPath(event.library).name, []).append(event)
    return tuple(
        FatBinaries(
            library=library,
            registered=len(rows),
            accepted=sum(row.accepted for row in rows),
            reason=next((row.reason for row in rows if not row.accepted), ""),
        )
        for library, rows in per_library.items()
    )


def _of(kind: type[_Kind], events: Iterable[record.Event]) -> tuple[_Kind, ...]:
    return tuple(event for event in events if isinstance(event, kind))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
