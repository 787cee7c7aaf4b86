"""Shared libraries with a dynamic section, and Debian trees, put together byte by byte; no compiler is needed.

And what `collect` is given for a CUDA backend.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

from codeobj_samples import elf64

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan, PlanCompiler, PlanSource, PlanToolkit
from buildtool.toolchain.model import Toolchain

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


def linked(
    *needed: str,
    soname: str = "",
    defines: Sequence[str] = (),
    takes: Sequence[str] = (),
    versions: dict[str, str] | None = None,
    relocation: int = 7,
) -> bytes:
    """A library with dynamic symbols: those it defines, and those it takes from others.

    Args:
        needed: sonames.
        soname: its own.
        defines: functions that it has.
        takes: functions that it calls, one relocation each.
        versions: of what it takes, the library that a version is asked from.
        relocation: the type of those relocations; 7 is R_X86_64_JUMP_SLOT.
    """
    versions = versions or {}
    names = bytearray(b"\0")

    def at(text: str) -> int:
        names.extend(text.encode() + b"\0")
        return len(names) - len(text) - 1

    entries = [*((NEEDED, at(name)) for name in needed), *([(SONAME, at(soname))] if soname else []), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    symbols = [(0, 0, 0), *((at(name), 0x12, 0) for name in takes), *((at(name), 0x12, 5) for name in defines)]
    dynsym = b"".join(struct.pack("<IBBHQQ", name, info, 0, part, 0, 0) for name, info, part in symbols)
    rela = b"".join(struct.pack("<QQq", 8 * n, (n + 1) << 32 | relocation, 0) for n in range(len(takes)))
    files = list(dict.fromkeys(versions.values()))
    indexes = [
        0,
        *(2 + files.index(versions[name]) if name in versions else 1 for name in takes),
        *(1 for _ in defines),
    ]
    versym = b"".join(struct.pack("<H", index) for index in indexes)
    needs = b""
    for n, file in enumerate(files):
        following = 32 if n + 1 < len(files) else 0
        needs += struct.pack("<HHIII", 1, 1, at(file), 16, following) + struct.pack("<IHHII", 0, 0, 2 + n, at("V1"), 0)
    parts = [
        (".dynamic", 6, 0x1000, dynamic, 2, 16), (".dynstr", 3, 0x2000, bytes(names), 0, 0),
        (".dynsym", 11, 0x3000, dynsym, 2, 24), (".rela.plt", 4, 0x4000, rela, 3, 24),
        (".text", 1, 0x5000, b"\xc3" * 16, 0, 0), (".gnu.version", 0x6FFFFFFF, 0x6000, versym, 3, 2),
        *([(".gnu.version_r", 0x6FFFFFFE, 0x7000, needs, 2, 0)] if needs else []),
    ]  # fmt: skip
    return _sectioned(parts)


def _sectioned(parts: Sequence[tuple[str, int, int, bytes, int, int]]) -> bytes:
    """An ELF file of sections: name, type, address, content, link, entry size."""
    labels = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in parts) + b".shstrtab\0"
    rows, body, offset = [bytes(64)], b"", 64
    for name, kind, address, content, link, entsize in [*parts, (".shstrtab", 3, 0, labels, 0, 0)]:
        padding = -offset % 8
        body += bytes(padding) + content
        offset += padding
        label = labels.index(name.encode() + b"\0")
        rows.append(struct.pack("<IIQQQQIIQQ", label, kind, 2, address, offset, len(content), link, 0, 8, entsize))
        offset += len(content)
    padding = -offset % 8
    table = offset + padding
    fields = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, table, 0, 64, 56, 0, 64, len(rows), len(rows) - 1)
    return elf64(62)[:16] + fields + body + bytes(padding) + b"".join(rows)


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


def cuda_build(
    build: Path, toolkit: Path, *targets: str, runtime: str = "bundle", cut: bool = False
) -> tuple[Plan, Toolchain, BuildTree]:
    """The plan, the toolkit and the build directory of a CUDA backend, whose module lies in `build`/bin."""
    plan = Plan(
        recipe="llama.cpp", source=PlanSource(kind="sdist", name="any", version="1"), backend="cuda", targets=targets,
        toolkit=PlanToolkit(kind="cuda", version="13.0.88", provider="pypi"), profile="portable", cmake_options={},
        host_compiler=PlanCompiler(family="gcc", version="12.2.0", cxx="g++", cc="gcc"), runtime=runtime, wheels=(),
        platform="linux-x86_64", **({"thin_vendor": True} if cut else {}),
    )  # fmt: skip
    toolchain = Toolchain(
        kind="cuda", version="13.0.88", root=str(toolkit), provider="pypi", cmake_options={}, env={}, cmake="cmake",
        ninja="ninja",
    )  # fmt: skip
    tree = BuildTree(
        path=str(build), source="", cmake_args=(), env={}, cmake="cmake", ninja="ninja", steps=1, seconds=0.0, log="",
    )  # fmt: skip
    return plan, toolchain, tree
