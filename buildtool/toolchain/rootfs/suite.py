"""Where a Debian suite is fetched from: apt's own configuration, or what the user names. Never a host of ours."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec

from buildtool.errors import MissingToolError, NetworkError
from buildtool.process import run

MIRROR_VARIABLE = "GPUBUILD_DEBIAN_MIRROR"
KEYRING_VARIABLE = "GPUBUILD_DEBIAN_KEYRING"
VALID_UNTIL_VARIABLE = "GPUBUILD_VALID_UNTIL"
KEYRINGS = tuple(
    f"/usr/share/keyrings/debian-archive-keyring.{ending}" for ending in ("gpg", "pgp")
)  # package debian-archive-keyring
SUITES = frozenset(
    {"oldstable", "stable", "testing", "unstable", "experimental", "sid"}
    | {"bullseye", "bookworm", "trixie", "forky", "duke"}
)
# What of apt's configuration says how to reach a server, and how old an index may be.
CARRIED = re.compile(r'^(Acquire::(?:https?|Retries|Check-Valid-Until|Check-Date|ForceIPv[46])\b\S*) "(.+)";$')
TIMEOUT_S = 30.0


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """A Debian archive: its address, the keys it must be signed with, and apt options for reaching it."""

    url: str
    keyring: str
    options: tuple[str, ...] = ()

    def sources(self, suites: tuple[str, ...], components: tuple[str, ...]) -> str:
        """Return the archive as a deb822 source for apt."""
        lines = ["Types: deb", f"URIs: {self.url}", f"Suites: {' '.join(suites)}"]
        return "\n".join([*lines, f"Components: {' '.join(components)}", f"Signed-By: {self.keyring}", ""])


def find_mirror(url: str | None = None, *, ignore_valid_until: bool = False) -> Mirror:
    """Return the archive to use: the one named, that of the environment, or that of apt's configuration.

    Raises:
        MissingToolError: there is no apt, or the archive's keys are not installed.
        NetworkError: nothing names a mirror.
    """
    if shutil.which("apt-get") is None:
        what = "A root filesystem is made with apt, which is not on this machine."
        raise MissingToolError(what, hint="Run gpubuild on Debian or Ubuntu, or in a container of them.")
    options = list(_carried())
    if ignore_valid_until or os.environ.get(VALID_UNTIL_VARIABLE) == "ignore":
        options.append('Acquire::Check-Valid-Until "false"')
    return Mirror(
        url=url or os.environ.get(MIRROR_VARIABLE) or _configured(), keyring=_keyring(), options=tuple(options)
    )


def _carried() -> tuple[str, ...]:
    dump = run(["apt-config", "dump"], timeout_s=TIMEOUT_S).output
    return tuple(f'{found[1]} "{found[2]}"' for line in dump.splitlines() if (found := CARRIED.match(line)))


def _configured() -> str:
    """Return the Debian archive of apt's configuration; other archives also use Debian's suite names."""
    words = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = run(["apt-get", "indextargets", "--no-release-info", "--format", words], timeout_s=TIMEOUT_S).output
    rows = (line.split() for line in listed.splitlines())
    found = {row[0] for row in rows if len(row) == 3 and row[1] in SUITES and row[2] == "main"}  # noqa: PLR2004
    if not found:
        what = "Nothing says where to fetch Debian packages from."
        why = "apt's configuration names no Debian mirror."
        hint = f"Name one: export {MIRROR_VARIABLE}=<address of a Debian mirror>, or --mirror."
        raise NetworkError(what, why=why, hint=hint)
    return min(found, key=lambda url: (not url.rstrip("/").endswith("/debian"), len(url), url))


def _keyring() -> str:
    named = os.environ.get(KEYRING_VARIABLE)
    for path in (named,) if named else KEYRINGS:
        if Path(path).is_file():
            return path
    what = "Debian's archive keys are not on this machine, so no package could be trusted."
    why = f"There is no file {named}." if named else ""
    hint = f"Install them: apt-get install debian-archive-keyring, or name the file in {KEYRING_VARIABLE}."
    raise MissingToolError(what, why=why, hint=hint)
