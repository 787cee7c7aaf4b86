"""Which packages, in which versions, a root filesystem would hold today: asked from apt, in a world of its own."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from buildtool.compat.model import Pin, PlanRootfs
from buildtool.errors import GpubuildError, IntegrityError, NetworkError, ProcessError
from buildtool.process import run
from buildtool.toolchain.rootfs.suite import MIRROR_VARIABLE, VALID_UNTIL_VARIABLE, Mirror

TIMEOUT_S = 900.0
PREFERENCE = "Package: {names}\nPin: release a={suite}\nPin-Priority: 990\n"
_URI = re.compile(r"^'(?P<url>[^']+)' (?P<file>\S+) (?P<bytes>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)
_UNPACKED = re.compile(r"^After this operation, ([\d.,]+) ([kMG]?)B of additional disk space", re.MULTILINE)
_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


class Case(NamedTuple):
    """What apt says, and what it means."""

    words: tuple[str, ...]
    kind: type[GpubuildError]
    what: str
    hint: str


_UNTRUSTED = "The package index of Debian {suites} on {url} is not signed with a key in {keyring}."
_KEYS = "Update the package debian-archive-keyring, or take another mirror."
# The first that fits counts: a server that answers nonsense also leaves an index unsigned.
CASES = (
    Case(
        ("is expired", "not valid yet"),
        NetworkError,
        "The package index of Debian {suites} on {url} is out of date.",
        f"Take another mirror ({MIRROR_VARIABLE}), or accept it: export {VALID_UNTIL_VARIABLE}=ignore. "
        "Signatures are checked either way.",
    ),
    Case(("NO_PUBKEY", "signatures were invalid", "couldn't be verified"), IntegrityError, _UNTRUSTED, _KEYS),
    Case(
        ("was not found", "Unable to locate package", "no installation candidate"),
        NetworkError,
        "Debian {suites} on {url} no longer carries a package of {name}.",
        f"Plan again for today's versions, or name a mirror that keeps old ones in {MIRROR_VARIABLE}.",
    ),
    Case(
        ("unmet dependencies",),
        NetworkError,
        "The packages of {name} do not fit together in Debian {suites} today.",
        "Try again in some days, or choose another toolkit.",
    ),
    Case(
        ("Could not resolve", "Failed to fetch", "Could not connect", "does not have a Release file"),
        NetworkError,
        "Debian {suites} cannot be fetched from {url}.",
        f"Check the network, or name another mirror in {MIRROR_VARIABLE}.",
    ),
    Case(("is not signed",), IntegrityError, _UNTRUSTED, _KEYS),
)


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a root filesystem consists of, and what it costs: bytes to fetch, bytes on disk."""

    pins: tuple[Pin, ...]
    download: int
    unpacked: int


def resolve(rootfs: PlanRootfs, mirror: Mirror, pins: tuple[Pin, ...] = ()) -> Resolved:
    """Look up the packages of `rootfs`, or, with `pins`, exactly those.

    Raises:
        NetworkError: the suite cannot be reached, is out of date, or carries a package no longer.
        IntegrityError: the suite is not signed with Debian's keys, or a package is not the pinned one.
    """
    with tempfile.TemporaryDirectory(prefix="gpubuild-apt-") as name:
        env = _world(Path(name), rootfs, mirror)
        wanted = [f"{pin.name}={pin.version}" for pin in pins] or list(rootfs.packages)
        try:
            run(["apt-get", "update", "--error-on=any"], env=env, timeout_s=TIMEOUT_S)
            done = run(["apt-get", "--yes", "--print-uris", "install", *wanted], env=env, timeout_s=TIMEOUT_S)
        except ProcessError as error:
            raise explain(error, rootfs, mirror) from error
    found = parse_uris(done.output)
    _compare(found.pins, pins)
    return found


def parse_uris(text: str) -> Resolved:
    """Read ``apt-get --print-uris install``.

    Raises:
        IntegrityError: it lists nothing with a sha256.
    """
    rows = list(_URI.finditer(text))
    if not rows:
        what = "apt names no package with a sha256 for this root filesystem."
        raise IntegrityError(what, details=tuple(text.splitlines()[-10:]))
    unpacked = _UNPACKED.search(text)
    size = float(unpacked[1].replace(",", "")) * _FACTORS[unpacked[2]] if unpacked else 0.0
    pins = sorted((_pin(row["file"], row["sha256"]) for row in rows), key=lambda pin: (pin.name, pin.version))
    return Resolved(pins=tuple(pins), download=sum(int(row["bytes"]) for row in rows), unpacked=int(size))


def _pin(filename: str, sha256: str) -> Pin:
    """Read ``name_version_architecture.deb``, in which apt writes the colon of an epoch as %3a."""
    name, version, _ = unquote(filename).split("_", maxsplit=2)
    return Pin(name=name, version=version, filename=filename, sha256=sha256)


def _compare(found: tuple[Pin, ...], pins: tuple[Pin, ...]) -> None:
    known = {(pin.name, pin.version): pin.sha256 for pin in pins}
    changed = [pin for pin in found if known and known.get((pin.name, pin.version)) != pin.sha256]
    if changed:
        what = "The suite offers packages that are not the pinned ones."
        details = tuple(f"{pin.filename}: sha256 {pin.sha256}" for pin in changed[:5])
        raise IntegrityError(what, hint="Plan again: gpubuild plan --out gpubuild.lock", details=details)


def _world(folder: Path, rootfs: PlanRootfs, mirror: Mirror) -> dict[str, str]:
    """Write an apt configuration below `folder` that reads nothing of this machine's; return its environment."""
    for name in ("state/lists/partial", "cache/archives/partial", "sources"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources" / "suite.sources").write_text(mirror.sources(rootfs.suites, rootfs.components), "utf-8")
    preferences = PREFERENCE.format(names=" ".join(rootfs.prefer), suite=rootfs.suites[-1]) if rootfs.prefer else ""
    (folder / "preferences").write_text(preferences, "utf-8")
    settings = {
        "APT::Architecture": rootfs.architecture,
        "APT::Architectures": rootfs.architecture,
        "APT::Install-Recommends": "false",
        "Acquire::ForceHash": "sha256",
        "Acquire::Languages": "none",
        "Dir::State": f"{folder}/state",
        "Dir::State::status": f"{folder}/status",
        "Dir::Cache": f"{folder}/cache",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{folder}/sources",
        "Dir::Etc::preferences": f"{folder}/preferences",
        "Dir::Etc::preferencesparts": "/dev/null",
    }
    lines = [f'{key} "{value}";' for key, value in settings.items()] + [f"{option};" for option in mirror.options]
    (folder / "apt.conf").write_text("\n".join(lines) + "\n", "utf-8")
    return {**os.environ, "LC_ALL": "C.UTF-8", "APT_CONFIG": str(folder / "apt.conf")}


def explain(error: ProcessError, rootfs: PlanRootfs, mirror: Mirror) -> GpubuildError:
    """Turn what apt or mmdebstrap said into what happened and what to do."""
    said = tuple(line for line in error.details if line.startswith(("E:", "W:", "Err:", "  "))) or error.details
    text = "\n".join(error.details)
    facts = {"suites": " and ".join(rootfs.suites), "url": mirror.url, "keyring": mirror.keyring, "name": rootfs.name}
    for case in CASES:
        if any(words in text for words in case.words):
            return case.kind(case.what.format(**facts), hint=case.hint, details=said)
    return error
