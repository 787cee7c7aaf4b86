"""Signatures beside wheels: a DSSE envelope around an in-toto statement, made with a key of one's own.

The envelope lies beside the wheel as ``NAME.whl.intoto.jsonl``, so a signed wheel has the same bytes as an unsigned
one. Its statement is about the wheel's file and carries the provenance that is inside.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from buildtool.errors import IntegrityError, InvalidInputError, MissingToolError, StorageError
from buildtool.store.digest import sha256_of
from buildtool.store.placing import write_whole
from buildtool.wheel.content import encode
from buildtool.wheel.provenance import about
from buildtool.wheel.reading import decode_statement, read_statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

SUFFIX = ".intoto.jsonl"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST_KEY = 1 << 16
LARGEST_ENVELOPE = 64 << 20
MAKE_KEY = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub"


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename={"payload_type": "payloadType"}):
    """Dead Simple Signing Envelope, version 1."""

    payload_type: str
    payload: str
    signatures: tuple[_Signature, ...]


def envelope_path(wheel: Path) -> Path:
    """Return where the signature of a wheel lies."""
    return wheel.with_name(wheel.name + SUFFIX)


def read_private_key(path: Path) -> PrivateKey:
    """Read a private key: PEM, Ed25519 or ECDSA, without a password.

    Raises:
        InvalidInputError: there is no such file, or it holds no such key.
        MissingToolError: the package cryptography is not installed.
    """
    serialization = _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = serialization.load_pem_private_key(_key_bytes(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = f"{path} is no private key that can sign."
        hint = f"Make one: {MAKE_KEY}"
        why = "It is protected by a password." if isinstance(error, TypeError) else str(error)
        raise InvalidInputError(what, why=why, hint=hint) from error
    return _fit(key, path, private=True)  # type: ignore[return-value]  # checked there


def read_public_key(path: Path) -> PublicKey:
    """Read a public key: PEM, Ed25519 or ECDSA.

    Raises:
        InvalidInputError: there is no such file, or it holds no such key.
        MissingToolError: the package cryptography is not installed.
    """
    serialization = _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = serialization.load_pem_public_key(_key_bytes(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        what = f"{path} is no public key that can check a signature."
        hint = "Of a private key it is made so: openssl pkey -in key.pem -pubout -out key.pub"
        raise InvalidInputError(what, why=str(error), hint=hint) from error
    return _fit(key, path, private=False)  # type: ignore[return-value]  # checked there


def sign(wheel: Path, key: PrivateKey) -> Path:
    """Write the signature of a wheel beside it and return its path.

    Raises:
        InvalidInputError: the wheel carries no provenance to sign.
        StorageError: it cannot be written.
    """
    inside = read_statement(wheel)
    if inside is None:
        what = f"{wheel.name} carries no provenance that could be signed."
        raise InvalidInputError(what, hint="Only wheels that gpubuild packs carry one; make it again.")
    payload = encode(about({wheel.name: sha256_of(wheel)}, inside.predicate))
    envelope = _Envelope(
        payload_type=PAYLOAD_TYPE,
        payload=base64.b64encode(payload).decode("ascii"),
        signatures=(_Signature(sig=_made(key, payload), keyid=key_id(key.public_key())),),
    )
    target = envelope_path(wheel)
    try:
        write_whole(target, msgspec.json.encode(envelope) + b"\n")
    except OSError as error:
        what = f"The signature {target} could not be written."
        raise StorageError(what, why=error.strerror or str(error)) from error
    return target


def signers(wheel: Path) -> tuple[str, ...]:
    """Return the ids of the keys that a wheel's envelope names; empty without an envelope. Nothing is proved by them.

    Raises:
        IntegrityError: the envelope is damaged, or is about another wheel.
    """
    envelope = _read_envelope(wheel)
    if envelope is None:
        return ()
    _check_subject(wheel, _payload(envelope, wheel))
    return tuple(one.keyid for one in envelope.signatures)


def check_signature(wheel: Path, key: PublicKey) -> str:
    """Prove that a wheel was signed with a key, and return the key's id.

    Raises:
        IntegrityError: there is no signature, it is of another key, or it is about another wheel.
    """
    envelope = _read_envelope(wheel)
    if envelope is None:
        what = f"{wheel.name} is not signed."
        raise IntegrityError(what, why=f"There is no file {envelope_path(wheel).name} beside it.")
    payload = _payload(envelope, wheel)
    if not any(_holds(key, payload, one.sig, envelope.payload_type) for one in envelope.signatures):
        what = f"{wheel.name} was not signed with this key."
        named = ", ".join(one.keyid[:16] or "no name" for one in envelope.signatures) or "none"
        raise IntegrityError(what, why=f"The key is {key_id(key)[:16]}; the signatures are of: {named}.")
    _check_subject(wheel, payload)
    return key_id(key)


def key_id(key: PublicKey) -> str:
    """Return the name of a key: sha256 (hex) of its DER form."""
    serialization = _serialization()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def _made(key: PrivateKey, payload: bytes) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    message = pre_authentication(PAYLOAD_TYPE, payload)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        raw = key.sign(message, ec.ECDSA(hashes.SHA256()))
    else:
        raw = key.sign(message)
    return base64.b64encode(raw).decode("ascii")


def _holds(key: PublicKey, payload: bytes, signature: str, payload_type: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    message = pre_authentication(payload_type, payload)
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, message, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(raw, message)
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _check_subject(wheel: Path, payload: bytes) -> None:
    statement = decode_statement(payload, envelope_path(wheel).name)
    if statement.subjects.get(wheel.name) != sha256_of(wheel):
        what = f"The signature beside {wheel.name} is not about this file."
        why = "The statement in it names another sha256 or another wheel."
        raise IntegrityError(what, why=why, hint="Do not install it; fetch the wheel and its signature again.")


def _read_envelope(wheel: Path) -> _Envelope | None:
    path = envelope_path(wheel)
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_ENVELOPE)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"The signature {path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error)) from error
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"{path.name} is no signature."
        raise IntegrityError(what, why=str(error)) from error
    if envelope.payload_type != PAYLOAD_TYPE:
        what = f"{path.name} signs something else than a statement about a wheel: {envelope.payload_type!r}."
        raise IntegrityError(what)
    return envelope


def _payload(envelope: _Envelope, wheel: Path) -> bytes:
    try:
        return base64.b64decode(envelope.payload, validate=True)
    except binascii.Error as error:
        what = f"{envelope_path(wheel).name} is damaged."
        raise IntegrityError(what, why=str(error)) from error


def _serialization() -> ModuleType:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        what = "Signatures need the package cryptography, which is not installed."
        raise MissingToolError(what, hint='pip install "gpubuild[sign]"') from error
    return serialization


def _key_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_KEY)
    except OSError as error:
        what = f"The key {path} cannot be read."
        raise InvalidInputError(what, why=error.strerror or str(error), hint=f"Make one: {MAKE_KEY}") from error


def _fit(key: object, path: Path, *, private: bool) -> object:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    kinds: tuple[type, ...] = (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)
    if private:
        kinds = (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey)
    if isinstance(key, kinds):
        return key
    what = f"{path} is a key of a kind that is not used here: {type(key).__name__}."
    raise InvalidInputError(what, hint=f"Make one: {MAKE_KEY}")
