"""Where a package registry is: read from pip's own configuration, so that no host name stands in the code.

Order of precedence for the index: ``GPUBUILD_INDEX_URL``; pip's environment and configuration files (as
``pip config list`` merges them); uv's environment variables; and, when nothing is configured, the default of
the finder library.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Mapping

import msgspec

from buildtool.errors import GpubuildError
from buildtool.process import run

PIP_TIMEOUT_S = 60.0
DEFAULT_TIMEOUT_S = 30.0


class Registry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the configured package indexes.

    Attributes:
        index_urls: simple-API roots, in order of preference; empty with `use_default` means the finder's own.
        find_links: directories, files or pages that list package files directly.
        use_default: True when no index is configured and none was forbidden (pip's ``no-index``).
        trusted_hosts: hosts whose certificates are not checked, at the user's wish.
        cert: CA bundle (file or directory) to check servers against.
        client_cert: client certificate file.
        proxy: proxy URL; None leaves the choice to the usual environment variables.
        timeout_s: seconds of silence after which a connection counts as dead.
    """

    index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    use_default: bool = True
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S


def parse_pip_config(text: str) -> dict[str, str]:
    """Parse the output of ``pip config list``: the value that ``pip download`` would see, per option.

    The environment wins over the section ``download``, that over ``install`` and ``global``; other sections
    do not concern us.
    """
    rank = {"global": 0, "install": 1, "download": 2, ":env:": 3}
    best: dict[str, tuple[int, str]] = {}
    for line in text.splitlines():
        name, equals, literal = line.partition("=")
        section, dot, option = name.rpartition(".")
        if not equals or not dot or section not in rank:
            continue
        try:
            value = ast.literal_eval(literal)
        except (ValueError, SyntaxError):
            continue
        if option not in best or rank[section] >= best[option][0]:
            best[option] = (rank[section], str(value))
    return {option: value for option, (_, value) in best.items()}


def registry_from(pip: Mapping[str, str], environ: Mapping[str, str]) -> Registry:
    """Combine pip's options and the environment into one answer. Pure."""
    no_index = pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}
    main = environ.get("GPUBUILD_INDEX_URL") or pip.get("index-url") or pip.get("pypi-url")
    extra = pip.get("extra-index-url", "").split()
    links = pip.get("find-links", "").split()
    if main is None:
        main = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    extra = extra or _uv_indexes(environ)
    links = links or environ.get("UV_FIND_LINKS", "").replace(",", " ").split()
    if environ.get("GPUBUILD_INDEX_URL"):
        no_index, extra, links = False, [], []
    urls = [] if no_index else [*([main] if main else []), *extra]
    return Registry(
        index_urls=tuple(urls),
        find_links=tuple(links),
        use_default=not no_index and main is None,
        trusted_hosts=tuple(pip.get("trusted-host", "").split()),
        cert=pip.get("cert") or environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE"),
        client_cert=pip.get("client-cert"),
        proxy=pip.get("proxy") or None,
        timeout_s=_seconds(pip.get("timeout") or pip.get("default-timeout")),
    )


def _uv_indexes(environ: Mapping[str, str]) -> list[str]:
    entries = f"{environ.get('UV_INDEX', '')} {environ.get('UV_EXTRA_INDEX_URL', '')}".split()
    return [re.sub(r"^[\w.-]+=(?=\w+:)", "", entry) for entry in entries]  # uv allows NAME=URL


def _seconds(text: str | None) -> float:
    try:
        value = float(text or DEFAULT_TIMEOUT_S)
    except ValueError:
        return DEFAULT_TIMEOUT_S
    return value if value > 0 else DEFAULT_TIMEOUT_S


def configured_registry() -> Registry:
    """Ask pip for its configuration; without a working pip, only the environment counts."""
    environ = dict(os.environ)
    try:
        listed = run([sys.executable, "-m", "pip", "config", "list"], timeout_s=PIP_TIMEOUT_S).output
    except GpubuildError:
        listed = "".join(
            f":env:.{name[4:].lower().replace('_', '-')}={value!r}\n"
            for name, value in environ.items()
            if name.startswith("PIP_")
        )
    return registry_from(parse_pip_config(listed), environ)
