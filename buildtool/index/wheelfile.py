"""Reads one wheel: what it is, which targets it holds, and whether its content is what its own RECORD says."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import re
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from buildtool.compat.tables import cuda_toolkits, rocm_releases
from buildtool.compat.versions import Release
from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.index.model import IndexedWheel, Role
from buildtool.store.digest import sha256_of
from buildtool.wheel.filename import label_of
from buildtool.wheel.opening import damage_told

RUNTIME = "gpubuild-llama"
CHUNK = 1 << 20
LARGEST_TEXT = 16 << 20  # METADATA, RECORD and a backend's module are small
_BACKEND = re.compile(rf"^{RUNTIME}-(?P<family>(?:cuda|rocm)\d+|vulkan)$")
_LIBRARY = re.compile(r"/lib/[^/]+\.so[.\d]*$")
_TOOLKIT = re.compile(r"^(?P<kind>cu|rocm)(?P<digits>\d+)$")


def read_wheel(path: Path) -> tuple[IndexedWheel, bytes]:
    """Return what a wheel is, and its METADATA; every member is read and compared with RECORD.

    Raises:
        InvalidInputError: it is no wheel.
        IntegrityError: it was changed after it was packed, or is damaged.
    """
    name, version, platforms = _parse_name(path)
    with damage_told(path), zipfile.ZipFile(path) as archive:
        folder = _dist_info(archive, path)
        metadata = _text(archive, f"{folder}/METADATA", path)
        _check_record(archive, folder, path)
        message = Parser().parsestr(metadata.decode("utf-8", "replace"))
        _check_identity(path, message, name, version)
        targets = _targets(archive, name, path)
        inside = archive.namelist()
    role, family = kind_of(name)
    wheel = IndexedWheel(
        filename=path.name,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        metadata_sha256=hashlib.sha256(metadata).hexdigest(),
        distribution=name,
        version=str(version),
        role=role,
        family=family,
        targets=targets,
        toolkit=_toolkit(version) if role == "backend" else "",
        bundled=role == "backend" and any(_LIBRARY.search(one) and "/libggml-" not in one for one in inside),
        requires=tuple(message.get_all("Requires-Dist") or ()),
        requires_python=str(message.get("Requires-Python", "")),
        platforms=platforms,
    )
    return wheel, metadata


def _parse_name(path: Path) -> tuple[str, Version, tuple[str, ...]]:
    if label_of(path.name):
        what = f"{path.name} is a variant wheel, which pip and uv do not take from an index yet."
        raise InvalidInputError(what, hint="Index plain wheels: gpubuild compile without --experimental-variants.")
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except (InvalidWheelFilename, InvalidVersion) as error:
        what = f"{path.name} is not the name of a wheel."
        raise InvalidInputError(what, why=str(error)) from error
    return str(name), version, tuple(sorted({tag.platform for tag in tags}))


def _dist_info(archive: zipfile.ZipFile, path: Path) -> str:
    folders = {name.split("/")[0] for name in archive.namelist() if name.split("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        what = f"{path.name} is no wheel: it has {len(folders)} .dist-info folders."
        raise InvalidInputError(what)
    return folders.pop()


def _text(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        what = f"{path.name} is no wheel: {name} is missing."
        raise InvalidInputError(what) from error
    if info.file_size > LARGEST_TEXT:
        what = f"{path.name}: {name} is {info.file_size >> 20} MiB large."
        raise InvalidInputError(what, why=f"At most {LARGEST_TEXT >> 20} MiB are read of it.")
    return archive.read(name)


def _check_identity(path: Path, message: Message, name: str, version: Version) -> None:
    inside = (canonicalize_name(str(message.get("Name", ""))), str(message.get("Version", "")))
    try:
        same = inside[0] == name and Version(inside[1]) == version
    except InvalidVersion:
        same = False
    if not same:
        what = f"{path.name} is not what it is called."
        raise IntegrityError(what, why=f"Its METADATA says {' '.join(inside)}.", hint="A wheel must not be renamed.")


def _check_record(archive: zipfile.ZipFile, folder: str, path: Path) -> None:
    """Compare every member with RECORD; signatures and RECORD itself have no hash there."""
    rows = list(csv.reader(_text(archive, f"{folder}/RECORD", path).decode("utf-8", "replace").splitlines()))
    stated = {row[0]: row[1] for row in rows if len(row) >= 2}  # noqa: PLR2004 - path, hash, size
    unhashed = {f"{folder}/RECORD", f"{folder}/RECORD.jws", f"{folder}/RECORD.p7s"}
    wrong = [
        info.filename
        for info in archive.infolist()
        if not info.is_dir()
        and info.filename not in unhashed
        and stated.get(info.filename) != _member_hash(archive, info)
    ]
    wrong += sorted(set(stated) - set(archive.namelist()))
    if wrong:
        what = f"{path.name} was changed after it was packed."
        why = f"Not as its RECORD says: {', '.join(sorted(wrong)[:5])}{' ...' if len(wrong) > 5 else ''}."  # noqa: PLR2004
        raise IntegrityError(what, why=why, hint="Do not ship it: build or fetch it again.")


def _member_hash(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    digest = hashlib.sha256()
    with archive.open(info) as stream:
        while data := stream.read(CHUNK):
            digest.update(data)
    return "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def kind_of(distribution: str) -> tuple[Role, str]:
    """Return what a distribution is, by its name, and its family."""
    if distribution == RUNTIME:
        return "runtime", "cpu"
    found = _BACKEND.match(distribution)
    return ("backend", found["family"]) if found is not None else ("other", "")


def _targets(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[str, ...]:
    """Return the targets that a backend's module states; () for anything else."""
    if kind_of(name)[0] != "backend":
        return ()
    module = f"{name.replace('-', '_')}/__init__.py"
    try:
        tree = ast.parse(_text(archive, module, path))
        values = {
            target.id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id == "TARGETS"
        }
        return msgspec.convert(values.get("TARGETS", ()), tuple[str, ...])
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        what = f"{path.name} does not tell its targets."
        raise InvalidInputError(what, why=f"{module}: {error}") from error


def _toolkit(version: Version) -> str:
    """Return the release of the toolkit that a backend's version names (``cu130`` is CUDA 13.0), "" without one."""
    rows = {"cu": [row.version for row in cuda_toolkits()], "rocm": [row.version for row in rocm_releases()]}
    for word in (version.local or "").split("."):
        label = _TOOLKIT.match(word)
        for release in rows[label["kind"]] if label is not None else ():
            minor = Release.parse(release).minor
            if label is not None and "".join(map(str, minor)) == label["digits"]:
                return ".".join(map(str, minor))
    return ""
