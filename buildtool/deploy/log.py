"""The last discovery that the server's log tells of."""

from __future__ import annotations

import re

from buildtool import process
from buildtool.deploy.facts import facts
from buildtool.deploy.model import Log, Seen, Service
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError

JOURNAL_LINES = 5000
JOURNAL_S = 10.0
TAIL_BYTES = 1 << 20
START = "discovering available GPUs"
_STARTED = re.compile(r'msg="Listening on .* \(version (\d[^)]*)\)"')
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def read_log(site: Site, service: Service) -> Log:
    """Read the journal of a unit, or the log file of an application."""
    if service.manager in {"systemd", "systemd-user"}:
        return _journal(service) if site.here else Log(source="journal", problem="it is not part of a copy")
    files = [
        name for row in facts().logs if row.system == site.system for one in row.files for name in site.matches(one)
    ]
    for name in files:
        text = _tail(site, name)
        if text is not None:
            return Log(source=name, version=started(text), lines=parse_log(text))
    return Log(source="", problem="no log was found")


def _tail(site: Site, name: str) -> str | None:
    try:
        with site.path(name).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return None


def _journal(service: Service) -> Log:
    user = ("--user",) if service.manager == "systemd-user" else ()
    argv = ("journalctl", *user, "-u", service.name, "-n", str(JOURNAL_LINES), "--no-pager", "-o", "cat")
    words = " ".join(argv[: argv.index("-n")])
    try:
        done = process.run(argv, timeout_s=JOURNAL_S, check=False)
    except GpubuildError as error:
        return Log(source=words, problem=error.what)
    lines = parse_log(done.output)
    if not lines and done.returncode:
        return Log(source=words, problem=(done.output.strip().splitlines() or ["it cannot be read"])[-1])
    return Log(source=words, version=started(done.output), lines=lines)


def started(text: str) -> str:
    """Return the version of the server that started last, "" when the log does not say."""
    return next(reversed(_STARTED.findall(text)), "")


def parse_log(text: str) -> tuple[Seen, ...]:
    """Return what the last discovery said about devices."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if START in line]
    return tuple(seen for line in lines[starts[-1] if starts else 0 :] if (seen := _seen(line)) is not None)


def _seen(line: str) -> Seen | None:
    row = next((row for row in facts().lines if row.part in line), None)
    if row is None:
        return None
    pairs = {name: _plain(value) for name, value in _PAIR.findall(line)}
    text = pairs.pop("msg", row.part)
    for name in ("time", "level", "source"):
        pairs.pop(name, None)
    return Seen(meaning=row.meaning, fields=pairs, text=text)


def _plain(value: str) -> str:
    """Take the quotes of Go's text log off."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
