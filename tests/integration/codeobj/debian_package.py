"""Packages of Debian's unstable suite, unpacked without being installed, from the mirror that apt is configured for."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path


def debian(package: str, folder: Path, *, version: str = "", sha256: str = "") -> Path:
    """Unpack a package into `folder` once, and return where.

    Raises:
        LookupError: there is no apt, no mirror, or not this version of the package.
    """
    root = folder / package
    if root.is_dir():
        return root
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        what = "apt-get and dpkg-deb fetch this"
        raise LookupError(what)
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    targets = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    mirror = next((uri for uri in targets if re.search(r"/debian/?$", uri)), None)
    if mirror is None:
        what = "apt is configured for no Debian mirror"
        raise LookupError(what)
    archive = _downloaded(f"{package}={version}" if version else package, mirror, folder / "apt")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if sha256 and digest != sha256:
        what = f"{archive.name} has the SHA-256 {digest}, not {sha256}"
        raise LookupError(what)
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    (folder / f"{package}.sha256").write_text(digest)
    archive.unlink()
    return root


def _downloaded(package: str, mirror: str, own: Path) -> Path:
    (own / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (own / "sources.list").write_text(f"deb {mirror} sid main\n")
    (own / "apt.conf").write_text(
        f'Dir::State::lists "{own}/lists"; Dir::Cache "{own}"; Dir::Etc::sourcelist "{own}/sources.list";\n'
        f'Dir::Etc::sourceparts "{own}/none"; Acquire::Check-Valid-Until "false"; APT::Sandbox::User "root";\n'
    )
    env = {**os.environ, "APT_CONFIG": str(own / "apt.conf")}
    for words in (["update"], ["download", package]):
        done = subprocess.run(["apt-get", "-q", *words], env=env, cwd=own, capture_output=True, text=True, check=False)
        if done.returncode:
            what = f"apt-get cannot fetch {package}: {done.stderr[-300:]}"
            raise LookupError(what)
    return next(own.glob(f"{package.split('=', maxsplit=1)[0]}_*.deb"))
