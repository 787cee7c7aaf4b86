"""Reads what ``test-backend-ops`` prints on a console.

Form: llama.cpp ``tests/test-backend-ops.cpp``, ``console_printer``. With several workers the lines of single
cases interleave, so that the counts come from the summary and the failures from the list under it; single lines
only count what a backend does not support and tell how far a run came before it died.
"""

from __future__ import annotations

import re

import msgspec

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BACKEND = re.compile(r"^Backend (\d+)/(\d+): (.+)$")
_SUMMARY = re.compile(r"^\s+(\d+)/(\d+) tests passed$")
_STATUS = re.compile(r"^\s+Backend (.+): (OK|FAIL)$")
_OVERALL = re.compile(r"^(\d+)/(\d+) backends passed$")
_DESCRIPTION = re.compile(r"^\s+Device description: (.*)$")
_UNSUPPORTED = re.compile(r"not supported \[")
_CASE = re.compile(r"^\s+([A-Z][A-Za-z0-9_]*\(.*\)):(?:\s|$)")
_FAILING = re.compile(r"^  (\S.*\))$")
FAILING_HEADER = "Failing tests:"


class OpsDevice(msgspec.Struct, frozen=True, kw_only=True):
    """What was printed about one device; `passed` and `total` are None when no summary was reached."""

    name: str
    description: str = ""
    skipped: bool = False
    passed: int | None = None
    total: int | None = None
    unsupported: int = 0
    failing: tuple[str, ...] = ()
    status: str | None = None
    last_case: str = ""


class OpsOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `complete` says that the last line of the program was reached."""

    devices: tuple[OpsDevice, ...]
    complete: bool

    def device(self, name: str) -> OpsDevice | None:
        """Return what was printed about the device `name`."""
        return next((device for device in self.devices if device.name == name), None)


class _Block:
    """Collects the lines of one device."""

    def __init__(self, name: str) -> None:
        self.fields: dict[str, object] = {"name": name}
        self.failing: list[str] = []
        self.unsupported = 0
        self.in_failing = False

    def take(self, line: str) -> None:
        if self.in_failing:
            if match := _FAILING.match(line):
                self.failing.append(match.group(1))
                return
            self.in_failing = False
        if line == FAILING_HEADER:
            self.in_failing = True
        elif match := _SUMMARY.match(line):
            self.fields.update(passed=int(match.group(1)), total=int(match.group(2)))
        elif match := _STATUS.match(line):
            self.fields["status"] = match.group(2)
        elif match := _DESCRIPTION.match(line):
            self.fields["description"] = match.group(1).strip()
        elif line.strip() in {"Skipping", "Skipping CPU backend"}:
            self.fields["skipped"] = True
        else:
            self.unsupported += len(_UNSUPPORTED.findall(line))
            if match := _CASE.match(line):
                self.fields["last_case"] = match.group(1)

    def done(self) -> OpsDevice:
        return msgspec.convert(
            self.fields | {"failing": tuple(self.failing), "unsupported": self.unsupported}, OpsDevice
        )


def parse_ops(text: str) -> OpsOutput:
    """Read the console output of ``test-backend-ops test``.

    Lines of other programs (driver notes, loader warnings) are passed over.

    Args:
        text: standard output and standard error, merged.
    """
    blocks: list[_Block] = []
    complete = False
    for raw in text.splitlines():
        line = _ANSI.sub("", raw).rstrip()
        if match := _BACKEND.match(line):
            blocks.append(_Block(match.group(3)))
        elif _OVERALL.match(line):
            complete = True
        elif blocks:
            blocks[-1].take(line)
    return OpsOutput(devices=tuple(block.done() for block in blocks), complete=complete)


def accepts_workers(usage: str) -> bool:
    """Tell from the usage text whether this ``test-backend-ops`` knows ``-j`` (since mid-2026)."""
    return re.search(r"^\s+-j <n>", usage, re.MULTILINE) is not None
