"""Which package of the distribution owns a file: read from the package managers' own records."""

from __future__ import annotations

import re

from buildtool import process
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError

ASK_S = 10.0
DPKG = "/var/lib/dpkg"
PACMAN = "/var/lib/pacman/local"
LIMIT = 32 << 20  # dpkg's status of a large machine is about 10 MB


def owner(site: Site, file: str) -> tuple[str, str]:
    """Return name and version of the package that owns a file; two empty words when none does."""
    if site.system != "linux":
        return "", ""
    return _dpkg(site, file) or _pacman(site, file) or _rpm(site, file) or ("", "")


def _dpkg(site: Site, file: str) -> tuple[str, str] | None:
    for name in site.names(f"{DPKG}/info"):
        if name.endswith(".list") and "ollama" in name:
            if file not in (site.text(f"{DPKG}/info/{name}") or "").splitlines():
                continue
            package = name.removesuffix(".list").partition(":")[0]
            status = site.text(f"{DPKG}/status", LIMIT) or ""
            found = re.search(rf"^Package: {re.escape(package)}$.*?^Version: (\S+)$", status, re.MULTILINE | re.DOTALL)
            return package, _upstream(found[1]) if found else ""
    return None


def _pacman(site: Site, file: str) -> tuple[str, str] | None:
    for name in site.names(PACMAN):
        if name.startswith("ollama") and file.lstrip("/") in (site.text(f"{PACMAN}/{name}/files") or "").splitlines():
            package, version, _ = name.rsplit("-", 2)
            return package, _upstream(version)
    return None


def _rpm(site: Site, file: str) -> tuple[str, str] | None:
    if not site.here or not site.path("/var/lib/rpm").is_dir():
        return None
    try:
        argv = ("rpm", "-qf", "--qf", "%{NAME} %{VERSION}", file)
        done = process.run(argv, timeout_s=ASK_S, check=False)
    except GpubuildError:
        return None
    words = done.output.split()
    return (words[0], words[1]) if done.returncode == 0 and len(words) == 2 else None  # noqa: PLR2004


def _upstream(version: str) -> str:
    """Take epoch and revision off a version of a package."""
    return version.rpartition(":")[2].partition("-")[0].partition("+")[0]
