"""Builders of archives, honest and hostile."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

Change = Callable[[tarfile.TarInfo], None]


def tar(path: Path, members: list[tuple[str, bytes | Change]], mode: str = "w:gz") -> Path:
    """Write a tar file; a member's second item is its content, or a function that makes its header special."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            if callable(what):
                what(info)
                archive.addfile(info, io.BytesIO(b"x" * info.size) if info.isreg() else None)
            else:
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
    return path


def kind(of: bytes, target: str = "") -> Change:
    """Make a member a link, a device, a pipe."""

    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = of, target

    return change


def mode(bits: int) -> Change:
    """Give a member these mode bits."""

    def change(info: tarfile.TarInfo) -> None:
        info.mode = bits

    return change


def zipped(path: Path, members: list[tuple[str, bytes, int]]) -> Path:
    """Write a zip file of (name, content, Unix mode)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, bits in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, bits << 16
            archive.writestr(info, content)
    return path
