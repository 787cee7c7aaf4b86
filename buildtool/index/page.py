"""The page for people: which line to paste for which card. One self-contained file, no script, readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote

import msgspec
from packaging.version import Version

from buildtool.compat.devices import products_of
from buildtool.compat.rules import oldest_driver
from buildtool.compat.targets import parse_target
from buildtool.compat.versions import Release
from buildtool.errors import GpubuildError
from buildtool.index.groups import Group
from buildtool.index.model import IndexedWheel
from buildtool.store.storage import readable_size

ADDRESS = "INDEX-URL"  # replaced by the server, or by `index build --url`
TITLES = {"cuda": "NVIDIA cards", "rocm": "AMD cards (ROCm)", "vulkan": "Other cards (Vulkan)", "cpu": "No GPU"}
SYSTEMS = {"win": "Windows", "macosx": "macOS"}
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")

_CSS = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid #8886}
h3{font-size:1rem;margin:1.2rem 0 .2rem}p{margin:.3rem 0}
code,pre{font:14px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}
pre{background:#8882;padding:.6rem;border-radius:.4rem;white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}
nav a{display:inline-block;margin:.2rem .8rem .2rem 0}.dim{opacity:.75;font-size:.9rem}
table{border-collapse:collapse;width:100%;font-size:.85rem}td,th{text-align:left;padding:.25rem .5rem .25rem 0}
td{border-top:1px solid #8884;overflow-wrap:anywhere}td:nth-child(2){white-space:nowrap}
"""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest wheel of a sub-index for one platform, and the line that installs it."""

    group: Group
    wheel: IndexedWheel
    system: str

    @property
    def line(self) -> str:
        """The command to paste: the exact version, which no public registry can hold (PEP 440 local versions)."""
        name = f"{self.wheel.distribution}=={self.wheel.version}"
        return f'pip install --extra-index-url {ADDRESS}/{self.group.folder}/ "{name}"'


def offers(found: Iterable[Group]) -> tuple[Offer, ...]:
    """Return what the page offers, one per sub-index of a target (or of a backend without targets) and platform."""
    made: list[Offer] = []
    for group in found:
        whole = group.family and (group.target or not any(wheel.targets for wheel in group.wheels))
        role = "runtime" if group.family == "cpu" else "backend"
        candidates = [wheel for wheel in group.wheels if wheel.role == role and wheel.yanked is None] if whole else []
        newest: dict[str, IndexedWheel] = {}
        for wheel in sorted(candidates, key=lambda wheel: (Version(wheel.version), wheel.filename)):
            newest[system_of(wheel)] = wheel
        made += [Offer(group=group, wheel=newest[system], system=system) for system in sorted(newest)]
    return tuple(made)


def system_of(wheel: IndexedWheel) -> str:
    """Say in words which machines a wheel installs on."""
    words = []
    for tag in wheel.platforms:
        kind, _, rest = tag.partition("_")
        glibc = _GLIBC.fullmatch(tag)
        if glibc is not None:
            words.append(f"Linux {_machine(glibc[3])}, glibc {glibc[1]}.{glibc[2]} or newer")
        elif kind == "linux":
            words.append(f"Linux {_machine(rest)}, only systems like the one it was built on")
        elif kind == "any":
            words.append("any system")
        else:
            words.append(f"{SYSTEMS.get(kind, kind)} {_machine(rest.rpartition('_')[2] if kind == 'macosx' else rest)}")
    return " / ".join(dict.fromkeys(words))


def _machine(tag: str) -> str:
    return {"x86_64": "x86-64", "amd64": "x86-64"}.get(tag, tag)


def people_page(found: tuple[Group, ...], wheels: tuple[IndexedWheel, ...], url: str = "") -> bytes:
    """Return ``index.html``; with `url` the lines hold it, without they hold `ADDRESS`."""
    shown = offers(found)
    kinds = [kind for kind in TITLES if any(_kind(one) == kind for one in shown)]
    body = [*_head(kinds, known=bool(url))]
    for kind in kinds:
        body.append(f'<h2 id="{kind}">{TITLES[kind]}</h2>')
        for one in shown:
            if _kind(one) == kind:
                body += _entry(one)
    body += _files(wheels)
    text = "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            "<title>llama.cpp wheels for your GPU</title>",
            f"<style>{_CSS}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )
    return (text.replace(ADDRESS, escape(url.rstrip("/"))) if url else text).encode()


def _kind(offer: Offer) -> str:
    return offer.group.family.rstrip("0123456789")


def _head(kinds: list[str], *, known: bool) -> Iterator[str]:
    yield "<h1>llama.cpp for your GPU</h1>"
    yield "<p>Find your card, paste its line into a terminal. Then run <code>llama-server -m model.gguf</code>.</p>"
    if not known:
        yield (
            f'<p class="dim">If a line below shows <code>{ADDRESS[:5]}&#8203;{ADDRESS[5:]}</code> literally, put the '
            "address of this page there, without <code>index.html</code>.</p>"
        )
    yield "<p>Or let gpubuild look at the machine and choose:</p>"
    yield f"<pre>gpubuild install --index {ADDRESS}/</pre>"
    links = "".join(f'<a href="#{kind}">{TITLES[kind]}</a>' for kind in kinds)
    yield f'<nav>{links}<a href="#files">All files</a></nav>'


def _entry(offer: Offer) -> Iterator[str]:
    wheel, target = offer.wheel, offer.group.target
    yield f'<h3 id="{escape(offer.group.folder)}">{escape(_cards(target) or _general(offer.group.family))}</h3>'
    facts = [target, *_made_with(wheel), offer.system, *_driver(wheel)]
    yield f'<p class="dim">{escape("; ".join(filter(None, facts)))}</p>'
    yield f"<pre>{escape(offer.line, quote=False)}</pre>"


def _cards(target: str) -> str:
    try:
        return products_of(parse_target(target)[0]) or target if target else ""
    except GpubuildError:
        return target


def _general(family: str) -> str:
    if family == "cpu":
        return "The processor alone"
    return "Intel, AMD, NVIDIA and other cards with a Vulkan driver" if family == "vulkan" else family


def _made_with(wheel: IndexedWheel) -> Iterator[str]:
    if wheel.toolkit:
        yield f"{'CUDA' if wheel.family.startswith('cuda') else 'ROCm'} {wheel.toolkit}"


def _driver(wheel: IndexedWheel) -> Iterator[str]:
    system = "windows" if any(tag.startswith("win") for tag in wheel.platforms) else "linux"
    if wheel.toolkit and wheel.family.startswith("cuda"):
        oldest = oldest_driver(Release.parse(wheel.toolkit), system)
        if oldest:
            yield f"NVIDIA driver {oldest} or newer"
    elif wheel.family.startswith("rocm"):
        yield "ROCm's libraries are inside" if wheel.bundled else "ROCm's libraries must be installed"


def _files(wheels: tuple[IndexedWheel, ...]) -> Iterator[str]:
    yield '<h2 id="files">All files</h2>'
    yield "<table><tr><th>File</th><th>Size</th><th>sha256</th></tr>"
    for wheel in wheels:
        name = escape(wheel.filename)
        gone = f"<br>withdrawn{': ' + escape(wheel.yanked) if wheel.yanked else ''}" if wheel.yanked is not None else ""
        link = f'<a href="{quote(wheel.filename)}">{name}</a>{gone}'
        yield f"<tr><td>{link}</td><td>{readable_size(wheel.bytes)}</td><td><code>{wheel.sha256}</code></td></tr>"
    yield "</table>"
    yield '<p class="dim">pip and uv compare these hashes. For other tools: <a href="simple/">simple index</a>.</p>'
