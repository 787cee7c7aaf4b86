"""The simple repository API as files: PEP 503 (HTML), PEP 691 (JSON), with PEP 592, 658, 700 and 714.

A static host serves ``index.html``; `buildtool.index.serve` answers with ``index.json`` where it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from packaging.version import Version

from buildtool.index.groups import Group
from buildtool.index.model import IndexedWheel

VERSION = "1.1"


def group_pages(group: Group) -> dict[str, bytes]:
    """Return the pages of a sub-index by path below its folder."""
    names = sorted({wheel.distribution for wheel in group.wheels})
    pages = {"index.html": _root_html(names), "index.json": _root_json(names)}
    for name in names:
        wheels = [wheel for wheel in group.wheels if wheel.distribution == name]
        pages[f"{name}/index.html"] = _project_html(name, wheels)
        pages[f"{name}/index.json"] = _project_json(name, wheels)
    return pages


def _html(title: str, body: Iterable[str]) -> bytes:
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><meta name="pypi:repository-version" content="{VERSION}">',
        f"<title>{escape(title)}</title></head>",
        "<body>",
        *body,
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(lines).encode()


def _root_html(names: list[str]) -> bytes:
    return _html("Simple index", (f'<a href="{name}/">{name}</a><br>' for name in names))


def _root_json(names: list[str]) -> bytes:
    return _json({"meta": {"api-version": VERSION}, "projects": [{"name": name} for name in names]})


def _project_html(name: str, wheels: list[IndexedWheel]) -> bytes:
    return _html(f"Links for {name}", (f"<a {_attributes(wheel)}>{escape(wheel.filename)}</a><br>" for wheel in wheels))


def _attributes(wheel: IndexedWheel) -> str:
    hashed = f"sha256={wheel.metadata_sha256}"
    values = {
        "href": f"../../{quote(wheel.filename)}#sha256={wheel.sha256}",
        "data-core-metadata": hashed,
        "data-dist-info-metadata": hashed,
    }
    if wheel.requires_python:
        values["data-requires-python"] = wheel.requires_python
    if wheel.yanked is not None:
        values["data-yanked"] = wheel.yanked
    return " ".join(f'{key}="{escape(value)}"' for key, value in values.items())


def _project_json(name: str, wheels: list[IndexedWheel]) -> bytes:
    versions = sorted({wheel.version for wheel in wheels}, key=Version)
    return _json(
        {
            "meta": {"api-version": VERSION},
            "name": name,
            "versions": versions,
            "files": [_file(wheel) for wheel in wheels],
        }
    )


def _file(wheel: IndexedWheel) -> dict[str, object]:
    hashed = {"sha256": wheel.metadata_sha256}
    file: dict[str, object] = {
        "filename": wheel.filename,
        "url": f"../../{quote(wheel.filename)}",
        "hashes": {"sha256": wheel.sha256},
        "size": wheel.bytes,
        "core-metadata": hashed,
        "dist-info-metadata": hashed,
        "yanked": False if wheel.yanked is None else wheel.yanked or True,
    }
    if wheel.requires_python:
        file["requires-python"] = wheel.requires_python
    return file


def _json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()
