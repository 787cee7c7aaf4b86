"""What a finished wheel says about itself, read back and checked against its bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from buildtool.compat.lock import parse_lock
from buildtool.compat.model import Plan
from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.store.digest import sha256_of
from buildtool.wheel.content import LOCK, PROVENANCE, SBOM
from buildtool.wheel.filename import label_of
from buildtool.wheel.opening import document, opened
from buildtool.wheel.sealing import RECORD, record_hash

VARIANT = "variant.json"  # PEP 825, a draft


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a wheel says about itself; everything in it was compared with the wheel's bytes.

    Attributes:
        filename: of the wheel.
        sha256: of the wheel's file.
        plan: digest of the plan inside; "" for a wheel without one.
        role: ``runtime`` or ``backend``; "" without a plan.
        backend, targets, toolkit, compiler, source: of the plan.
        patches: names of the source patches.
        components: how many components the bill of materials names; 0 without one.
        variant: label of a variant wheel, "" for a plain one.
        properties: of a variant wheel, such as ``nvidia :: sm_arch :: 90_real``.
        clock: SOURCE_DATE_EPOCH it was packed with; None without provenance.
        tools: what built it, name and version.
        files: how many files RECORD names, each with the hash it has.
    """

    filename: str
    sha256: str
    plan: str = ""
    role: str = ""
    backend: str = ""
    targets: tuple[str, ...] = ()
    toolkit: str = ""
    compiler: str = ""
    source: str = ""
    patches: tuple[str, ...] = ()
    components: int = 0
    variant: str = ""
    properties: tuple[str, ...] = ()
    clock: int | None = None
    tools: dict[str, str] = {}
    files: int = 0


class _Variants(msgspec.Struct, frozen=True):
    """``variant.json``, as far as it is read here: label, namespace, feature, values."""

    variants: dict[str, dict[str, dict[str, tuple[str, ...]]]]


class _Digest(msgspec.Struct, frozen=True):
    sha256: str


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: _Digest


class Statement(msgspec.Struct, frozen=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """An in-toto statement, as far as it is read here."""

    type: str
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]

    @property
    def subjects(self) -> dict[str, str]:
        """Name to sha256 (hex) of everything the statement is about."""
        return {one.name: one.digest.sha256 for one in self.subject}


def read_plan(path: Path) -> Plan:
    """Return the plan that made a wheel, from the lock inside it.

    Raises:
        InvalidInputError: no such file, no wheel, or a wheel without a lock.
        IntegrityError: it is damaged, or the lock is not the one RECORD names.
        LockFileError: the lock was edited, or is of a schema this version does not read.
    """
    with opened(path) as (archive, folder):
        text = document(archive, f"{folder}/{LOCK}")
        if text is None:
            what = f"{path.name} carries no lock, so nothing says how it was made."
            raise InvalidInputError(what, hint="Only wheels that gpubuild packs carry one; make it again.")
        _compare(path, recorded(archive, folder, path), f"{folder}/{LOCK}", hashlib.sha256(text).hexdigest())
        return parse_lock(text, f"{path.name}/{LOCK}", "Fetch the wheel again, or build it again.")


def read_statement(path: Path) -> Statement | None:
    """Return the provenance statement inside a wheel, None when it has none.

    Raises:
        InvalidInputError: no such file, or no wheel.
        IntegrityError: it is damaged.
    """
    with opened(path) as (archive, folder):
        text = document(archive, f"{folder}/{PROVENANCE}")
    return decode_statement(text, path.name) if text is not None else None


def decode_statement(text: bytes, name: str) -> Statement:
    """Read an in-toto statement.

    Raises:
        IntegrityError: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"The provenance of {name} is no in-toto statement."
        raise IntegrityError(what, why=str(error)) from error


def describe(path: Path) -> Description:
    """Check a wheel against its own RECORD and provenance, and return what it says about itself.

    Raises:
        InvalidInputError: no such file, or no wheel.
        IntegrityError: a file is missing, not listed, or not the one that was listed.
        LockFileError: the lock inside was edited.
    """
    found = check(path)
    with opened(path) as (archive, folder):
        has_lock = document(archive, f"{folder}/{LOCK}") is not None
        materials = document(archive, f"{folder}/{SBOM}")
        variant = document(archive, f"{folder}/{VARIANT}")
    plain = Description(filename=path.name, sha256=sha256_of(path), files=len(found))
    statement = read_statement(path)
    if statement is not None:
        plain = msgspec.structs.replace(plain, clock=_clock(statement), tools=_tools(statement))
    if materials is not None:
        plain = msgspec.structs.replace(plain, components=_components(materials, path.name))
    if variant is not None or label_of(path.name):
        plain = msgspec.structs.replace(plain, variant=label_of(path.name), properties=_properties(variant, path))
    return _with_plan(plain, read_plan(path), path) if has_lock else plain


def _properties(text: bytes | None, path: Path) -> tuple[str, ...]:
    """Return the properties of a variant wheel.

    Raises:
        IntegrityError: there are none, or they are of a variant with another label.
    """
    label = label_of(path.name)
    try:
        found = msgspec.json.decode(text or b"{}", type=_Variants).variants
    except (ValueError, RecursionError) as error:
        what = f"{path.name} is called a variant wheel, and its {VARIANT} is none."
        raise IntegrityError(what, why=str(error)) from error
    if list(found) != [label]:
        what = f"{path.name} is not the variant that it is called."
        why = f"Its {VARIANT} is about {', '.join(found) or 'none'}, its name says {label or 'none'}."
        raise IntegrityError(what, why=why, hint="A wheel must not be renamed.")
    rows = found[label].items()
    return tuple(f"{name} :: {one} :: {value}" for name, row in rows for one, values in row.items() for value in values)


def _with_plan(plain: Description, plan: Plan, path: Path) -> Description:
    name = path.name.partition("-")[0]
    return msgspec.structs.replace(
        plain,
        plan=plan.digest(),
        role=next((one.role for one in plan.wheels if one.package == name), ""),
        backend=plan.backend,
        targets=plan.targets,
        toolkit=f"{plan.toolkit.kind} {plan.toolkit.version}" if plan.toolkit is not None else "",
        compiler=f"{plan.host_compiler.family} {plan.host_compiler.version}",
        source=plan.source.name,
        patches=tuple(one.name for one in plan.patches),
    )


def check(path: Path) -> dict[str, str]:
    """Compare every file of a wheel with RECORD, and with the provenance where there is one.

    Returns:
        Name to sha256 (hex) of every file but RECORD.

    Raises:
        InvalidInputError: no such file, or no wheel.
        IntegrityError: a file is missing, not listed, or not the one that was listed.
    """
    with opened(path) as (archive, folder):
        listed = recorded(archive, folder, path)
        own = f"{folder}/{RECORD}"
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(names) != len(set(names)):
            what = f"{path.name} holds two files of one name."
            raise IntegrityError(what, hint="Do not install it.")
        found = {name: _sha256(archive, name) for name in names if name != own}
    for name, sha256 in found.items():
        _compare(path, listed, name, sha256)
    missing = sorted(listed.keys() - found.keys() - {own})
    if missing:
        what = f"{path.name} lacks files that its RECORD names."
        raise IntegrityError(what, details=tuple(missing[:10]), hint="Fetch or build it again.")
    statement = read_statement(path)
    about = {name: sha256 for name, sha256 in found.items() if name != f"{folder}/{PROVENANCE}"}
    if statement is not None and statement.subjects != about:
        what = f"The provenance in {path.name} is about other files than those in it."
        changed = sorted(set(statement.subjects.items()) ^ set(about.items()))
        names = list(dict.fromkeys(name for name, _ in changed))
        raise IntegrityError(what, details=tuple(names[:10]), hint="Do not install it; build it again.")
    return found


def recorded(archive: zipfile.ZipFile, folder: str, path: Path) -> dict[str, str]:
    """Return what RECORD lists: name to ``sha256=...``, "" for RECORD itself.

    Raises:
        IntegrityError: RECORD is no such list.
    """
    text = document(archive, f"{folder}/{RECORD}") or b""
    try:
        rows = [row for row in csv.reader(io.StringIO(text.decode("utf-8"))) if row]
        return {name: digest for name, digest, _ in rows}
    except (ValueError, csv.Error) as error:
        what = f"The RECORD of {path.name} is damaged."
        raise IntegrityError(what, why=str(error)) from error


def _compare(path: Path, listed: dict[str, str], name: str, sha256: str) -> None:
    wanted = listed.get(name)
    if wanted == f"sha256={record_hash(sha256)}":
        return
    what = f"{name} in {path.name} is not the file that its RECORD lists."
    why = "RECORD does not name it." if wanted is None else f"RECORD has {wanted or 'no hash'}, found sha256 {sha256}."
    raise IntegrityError(what, why=why, hint="The wheel was changed after it was packed. Do not install it.")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _clock(statement: Statement) -> int | None:
    inside = statement.predicate.get("buildDefinition")
    parameters = inside.get("internalParameters") if isinstance(inside, dict) else None
    found = parameters.get("SOURCE_DATE_EPOCH") if isinstance(parameters, dict) else None
    return found if isinstance(found, int) else None


def _tools(statement: Statement) -> dict[str, str]:
    details = statement.predicate.get("runDetails")
    builder = details.get("builder") if isinstance(details, dict) else None
    versions = builder.get("version") if isinstance(builder, dict) else None
    return {str(name): str(value) for name, value in versions.items()} if isinstance(versions, dict) else {}


def _components(text: bytes, name: str) -> int:
    try:
        return len(msgspec.json.decode(text, type=dict[str, Any]).get("components", ()))
    except (ValueError, TypeError, RecursionError) as error:
        what = f"The bill of materials in {name} is damaged."
        raise IntegrityError(what, why=str(error)) from error
