"""Which Ollama an installation is, and which llama.cpp it runs: asked, read, or looked up, and said which."""

from __future__ import annotations

import re

import msgspec

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
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
#: Loadable backends came with b4300. Less is what a shallow clone counts: Ollama's build fetches one commit.
FIRST_TAG = 4000


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What a llama-server says of its own build; "" for what it does not say."""

    words: str
    tag: str = ""
    commit: str = ""


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
    """Return the llama.cpp that an installation runs: a tag, a commit, or a version that many builds share.

    What llama-server says of its own build comes first, then what the table of pins knows of Ollama's version.
    """
    server = site.join(found.libraries, "llama-server" + (".exe" if site.system == "windows" else ""))
    told = engine(_asked((server, "--version"), {})) if site.here and site.path(server).is_file() else None
    if told is not None and (told.tag or told.commit):
        words = "" if told.tag else f": {told.words}"
        return Known(value=told.tag or told.commit, source=f"llama-server --version{words}")
    pin = facts().pin_of(version.value) if version.value else None
    if pin is not None:
        return Known(value=pin.tag, source=f"table: {pin.source[0]}")
    if told is not None and told.words:
        return Known(value=told.words, source="llama-server --version")
    if version.value:
        return Known(value=None, source=f"no pin of {version.value} is known, and llama-server does not tell")
    return Known(value=None, source="the version is not known")


def engine(text: str) -> Engine | None:
    """Read ``llama-server --version``; None where it says nothing of the kind.

    Builds print ``version: 10864 (7992aa7)``, newer ones ``version: 0.5.0-dev (build 11081, commit 161755f)``. Where
    the build saw one commit only, or none, the number is 1 or 0 and no tag.
    """
    found = _ENGINE.search(text)
    if found is None:
        return None
    build = int(found[2] or (found[1] if found[1].isdigit() else "0"))
    commit = found[3] if _COMMIT.fullmatch(found[3]) else ""
    words = "" if found[1].isdigit() else found[1]
    return Engine(words=words or f"build {build}", tag=f"b{build}" if build >= FIRST_TAG else "", commit=commit)


def _asked(argv: tuple[str, ...], more: dict[str, str]) -> str:
    import os

    env = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "LLAMA_ARG_"))}
    try:
        return process.run(argv, env=env | more, timeout_s=ASK_S, check=False).output
    except GpubuildError:
        return ""
