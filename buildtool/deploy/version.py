"""Which Ollama an installation is, and which llama.cpp it runs: asked, read, or looked up, and said which."""

from __future__ import annotations

import re

from buildtool import process
from buildtool.deploy.facts import facts
from buildtool.deploy.find import Found
from buildtool.deploy.model import Known, Log
from buildtool.deploy.site import Site
from buildtool.errors import GpubuildError

ASK_S = 15.0
NOBODY = "127.0.0.1:9"  # the discard port: the client must tell its own version, not that of a server
_VERSION = re.compile(r"\bversion is (\d\S*)")
_ENGINE = re.compile(r"^version: (\S+) \((?:build (\d+), commit )?(\w+)\)", re.MULTILINE)


def ollama_version(site: Site, found: Found, log: Log) -> Known:
    """Return the version of Ollama: its own word, its package's, or what its log says of the last start."""
    if site.here:
        text = _asked((found.program, "--version"), {"OLLAMA_HOST": NOBODY})
        told = _VERSION.findall(text)
        if told:
            return Known(value=told[-1], source="ollama --version")
    if found.package_version:
        return Known(value=found.package_version, source=f"package {found.package}")
    if log.version:
        return Known(value=log.version, source=f"last start in {log.source}")
    return Known(value=None, source="nothing tells it")


def llama_cpp(site: Site, found: Found, version: Known) -> Known:
    """Return the llama.cpp tag: what llama-server says, else what the table of pins knows of the version."""
    server = site.join(found.libraries, "llama-server" + (".exe" if site.system == "windows" else ""))
    if site.here and site.path(server).is_file():
        told = engine_version(_asked((server, "--version"), {}))
        if told:
            return Known(value=told, source="llama-server --version")
    pin = facts().pin_of(version.value) if version.value else None
    if pin is not None:
        return Known(value=pin.tag, source=f"table: {pin.source[0]}")
    if version.value:
        return Known(value=None, source=f"no pin of {version.value} is known, and llama-server does not tell")
    return Known(value=None, source="the version is not known")


def engine_version(text: str) -> str | None:
    """Read ``llama-server --version``: the build's tag, else the version; None where the build knows neither.

    Builds print ``version: 10864 (7992aa7)``, newer ones ``version: 0.5.0-dev (build 11081, commit 161755f)``.
    """
    found = _ENGINE.search(text)
    if found is None:
        return None
    number = found[2] or (found[1] if found[1].isdigit() else "")
    if number.strip("0"):
        return f"b{number}"
    return None if found[1].isdigit() else found[1]


def _asked(argv: tuple[str, ...], more: dict[str, str]) -> str:
    import os

    env = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "LLAMA_ARG_"))}
    try:
        return process.run(argv, env=env | more, timeout_s=ASK_S, check=False).output
    except GpubuildError:
        return ""
