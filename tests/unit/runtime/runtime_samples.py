"""Shared libraries with a dynamic section, and Debian trees, put together byte by byte; no compiler is needed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

from codeobj_samples import elf64

NEEDED, SONAME, RUNPATH = 1, 14, 29
LIB = "usr/lib/x86_64-linux-gnu"


def shared(*needed: str, soname: str = "", runpath: str = "", strings: Sequence[str] = ()) -> bytes:
    """A library that needs others, and that has `strings` in its read-only data."""
    names, entries = b"\0", []
    for tag, value in [*((NEEDED, name) for name in needed), (SONAME, soname), (RUNPATH, runpath)]:
        if value:
            entries.append((tag, len(names)))
            names += value.encode() + b"\0"
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in [*entries, (0, 0)])
    data = b"".join(text.encode() + b"\0" for text in strings) or b"\0"
    labels = b"\0.dynamic\0.dynstr\0.rodata\0.shstrtab\0"
    rows, body, at = [], b"", 64
    for label, kind, content, link, size in [
        (".dynamic", 6, dynamic, 2, 16), (".dynstr", 3, names, 0, 0), (".rodata", 1, data, 0, 0),
        (".shstrtab", 3, labels, 0, 0),
    ]:  # fmt: skip
        padding = -at % 8
        body += bytes(padding) + content
        at += padding
        name = labels.index(label.encode() + b"\0")
        rows.append(struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, len(content), link, 0, 8, size))
        at += len(content)
    body += bytes(-at % 8)
    table = at + -at % 8
    fields = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, table, 0, 64, 56, 0, 64, 5, 4)
    return elf64(62)[:16] + fields + body + bytes(64) + b"".join(rows)


class Tree:
    """A Debian root filesystem: packages with files, versions, sources and licences."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lib = root / LIB
        self.lib.mkdir(parents=True)
        (root / "usr/share/common-licenses").mkdir(parents=True)
        (root / "usr/share/common-licenses/Apache-2.0").write_text("Apache licence, whole")
        (root / "usr/share/common-licenses/GPL-2").write_text("GPL, whole")
        (root / "var/lib/dpkg/info").mkdir(parents=True)
        self._status: list[str] = []

    def package(
        self, name: str, files: dict[str, bytes], *, version: str = "1.0-1", source: str = "", licence: str | None = ""
    ) -> None:
        """Unpack a package whose library files are given by their names below the library folder."""
        sums = []
        for file, content in files.items():
            path = self.lib / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o444)
            sums.append(f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {LIB}/{file}\n")
        (self.root / f"var/lib/dpkg/info/{name}.md5sums").write_text("".join(sums))
        self._status.append(f"Package: {name}\nVersion: {version}\n" + (f"Source: {source}\n" if source else ""))
        (self.root / "var/lib/dpkg/status").write_text("\n".join(self._status))
        if licence is not None:
            folder = self.root / "usr/share/doc" / name
            folder.mkdir(parents=True)
            (folder / "copyright").write_text(licence or f"terms of {name}")

    def link(self, name: str, to: str) -> None:
        (self.lib / name).symlink_to(to)
