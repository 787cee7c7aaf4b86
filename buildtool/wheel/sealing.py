"""The last touch on a wheel: its tag, its description of itself, one order of files, one clock.

scikit-build-core writes every file with a fixed time and mode, but lists the files of ``.dist-info`` in the order the
file system has them. Here the archive is written once more: sorted, with RECORD last, so that equal content gives equal
bytes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from buildtool.wheel.filename import with_platform

RECORD = "RECORD"
COMPRESSION_LEVEL = 6
CHUNK_BYTES = 1 << 20
#: Name in the wheel to sha256 (hex) and size in bytes.
Digests = dict[str, tuple[str, int]]


def dist_info_of(names: list[str]) -> str:
    """Return the name of a wheel's ``.dist-info`` folder, which holds its RECORD; "" when it has none."""
    tops = {name.partition("/")[0] for name in names if name.partition("/")[2] == RECORD}
    return next((top for top in sorted(tops) if top.endswith(".dist-info")), "")


def seal(
    draft: Path, folder: Path, tag: str | None, describe: Callable[[str, Digests], Mapping[str, bytes]]
) -> tuple[Path, Digests]:
    """Write the wheel `draft` into `folder` in its final form.

    Args:
        draft: as scikit-build-core made it.
        folder: where to.
        tag: the platform tag it gets, None to keep the draft's.
        describe: given the name of ``.dist-info`` and the digests of the files so far, returns further files for it.

    Returns:
        The wheel, and the digests of everything in it but RECORD.
    """
    with zipfile.ZipFile(draft) as source:
        names = [info.filename for info in source.infolist() if not info.is_dir()]
        info_dir = dist_info_of(names)
        last = {name: source.read(name) for name in names if name.startswith(f"{info_dir}/")}
        del last[f"{info_dir}/{RECORD}"]
        if tag is not None:
            last[f"{info_dir}/WHEEL"] = retagged(last[f"{info_dir}/WHEEL"], tag)
        target = folder / (draft.name if tag is None else with_platform(draft.name, tag))
        clock = source.getinfo(f"{info_dir}/{RECORD}").date_time
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as made:
            digests = {
                name: _copy(source, made, name)
                for name in sorted(name for name in names if not name.startswith(f"{info_dir}/"))
            }
            digests |= {name: _digest(data) for name, data in last.items()}
            for name, data in describe(info_dir, dict(digests)).items():
                last[f"{info_dir}/{name}"] = data
                digests[f"{info_dir}/{name}"] = _digest(data)
            for name, data in sorted(last.items()):
                made.writestr(_entry(name, clock), data)
            made.writestr(_entry(f"{info_dir}/{RECORD}", clock), record_text(digests, f"{info_dir}/{RECORD}"))
    return target, digests


def retagged(wheel_file: bytes, tag: str) -> bytes:
    """Return the text of a WHEEL file for another platform."""
    lines = [line for line in wheel_file.decode("utf-8").splitlines() if line]
    first = next(n for n, line in enumerate(lines) if line.startswith("Tag: "))
    python, abi, _ = lines[first].removeprefix("Tag: ").split("-")
    kept = [line for line in lines if not line.startswith("Tag: ")]
    kept.insert(first, f"Tag: {python}-{abi}-{tag}")
    return ("\n".join(kept) + "\n\n").encode()


def record_text(digests: Digests, own_name: str) -> str:
    """Return the text of RECORD: every file with its digest, and RECORD itself without."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, (sha256, size) in sorted(digests.items()):
        writer.writerow((name, f"sha256={record_hash(sha256)}", size))
    writer.writerow((own_name, "", ""))
    return text.getvalue()


def record_hash(sha256: str) -> str:
    """Return a hex digest as RECORD writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode("ascii")


def _copy(source: zipfile.ZipFile, made: zipfile.ZipFile, name: str) -> tuple[str, int]:
    old = source.getinfo(name)
    entry = _entry(name, old.date_time)
    entry.external_attr, entry.file_size = old.external_attr, old.file_size
    digest = hashlib.sha256()
    with source.open(old) as reader, made.open(entry, "w") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest(), old.file_size


def _entry(name: str, clock: tuple[int, int, int, int, int, int]) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=clock)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, also when packed on Windows
    entry.external_attr = 0o100644 << 16
    return entry


def _digest(data: bytes) -> tuple[str, int]:
    return hashlib.sha256(data).hexdigest(), len(data)
