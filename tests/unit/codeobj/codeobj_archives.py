"""Archives of every kind that is read, put together in memory."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile

from buildtool.codeobj.codec import zstd_module

Files = dict[str, bytes]


def ar(members: Files) -> bytes:
    """A static library, or the outside of a Debian package."""
    out = b"!<arch>\n"
    for name, data in members.items():
        head = f"{name + '/':<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(data):<10}`\n"
        out += head.encode() + data + b"\n" * (len(data) % 2)
    return out


def tar(members: Files, mode: str = "w") -> bytes:
    """A tar archive; `mode` as in `tarfile.open`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def zipped(members: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive, or a wheel."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def debian(members: Files) -> bytes:
    """A Debian package."""
    return ar({"debian-binary": b"2.0\n", "data.tar.xz": lzma.compress(tar(members))})


def archives(members: Files) -> Files:
    """One archive of every kind, by a name that tells it."""
    plain = tar(members)
    packed: bytes = zstd_module().compress(plain)
    return {
        "x.whl": zipped(members),
        "stored.zip": zipped(members, zipfile.ZIP_STORED),
        "x.tar": plain,
        "x.tar.gz": tar(members, "w:gz"),
        "x.tar.zst": packed,
        "x.deb": debian(members),
        "x.a": ar(members),
    }
