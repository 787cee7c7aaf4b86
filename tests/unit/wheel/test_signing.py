"""Signatures beside wheels: they hold for these bytes and this key, and for nothing else."""

from __future__ import annotations

import base64
import errno
import os
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from buildtool.errors import IntegrityError, InvalidInputError, StorageError
from buildtool.wheel.about import about_wheel
from buildtool.wheel.signing import (
    check_signature,
    envelope_path,
    pre_authentication,
    read_private_key,
    read_public_key,
    sign,
    signers,
)  # fmt: skip

sys.path.insert(0, str(Path(__file__).parent))

from wheel_files import packed, rewritten


def keys(folder: Path, name: str, key: object) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))  # type: ignore[attr-defined]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, form))  # type: ignore[attr-defined]
    return private, public


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return packed(tmp_path / "dist")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_signature_holds_for_its_key_and_no_other(wheel: Path, tmp_path: Path, kind: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    private, public = keys(tmp_path, "own", key)
    _, stranger = keys(tmp_path, "other", ed25519.Ed25519PrivateKey.generate())
    before = wheel.read_bytes()
    assert sign(wheel, read_private_key(private)) == envelope_path(wheel)
    assert wheel.read_bytes() == before, "signing does not touch the wheel"
    assert signers(wheel) == (check_signature(wheel, read_public_key(public)),)
    with pytest.raises(IntegrityError, match="not signed with this key"):
        check_signature(wheel, read_public_key(stranger))
    assert about_wheel(wheel).signature == "not-checked"
    assert about_wheel(wheel, read_public_key(public)).signature == "valid"


def test_the_envelope_is_plain_dsse(wheel: Path, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    private, _ = keys(tmp_path, "own", key)
    envelope = msgspec.json.decode(sign(wheel, read_private_key(private)).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    statement = msgspec.json.decode(payload)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert [one["name"] for one in statement["subject"]] == [wheel.name]
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    assert pre_authentication(envelope["payloadType"], payload) == message
    key.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), message)


def test_a_signature_does_not_hold_for_another_wheel(wheel: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "own", ed25519.Ed25519PrivateKey.generate())
    sign(wheel, read_private_key(private))
    other = rewritten(wheel, tmp_path / "other" / wheel.name, {"__init__.py": b"import os\n"})
    shutil.copy(envelope_path(wheel), envelope_path(other))
    with pytest.raises(IntegrityError, match="not about this file"):
        check_signature(other, read_public_key(public))
    with pytest.raises(IntegrityError, match="not about this file"):
        signers(other)


def test_a_missing_or_damaged_signature_is_refused(wheel: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "own", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(IntegrityError, match="is not signed"):
        check_signature(wheel, read_public_key(public))
    path = sign(wheel, read_private_key(private))
    good = msgspec.json.decode(path.read_bytes())
    for bad in (b"", b"[]", b'{"payloadType": "x"}', msgspec.json.encode(good | {"payload": "%%%"})):
        path.write_bytes(bad)
        with pytest.raises(IntegrityError):
            check_signature(wheel, read_public_key(public))
    path.write_bytes(msgspec.json.encode(good | {"payloadType": "text/plain"}))
    with pytest.raises(IntegrityError, match="something else"):
        check_signature(wheel, read_public_key(public))
    path.write_bytes(msgspec.json.encode(good | {"signatures": []}))
    with pytest.raises(IntegrityError, match="not signed with this key"):
        check_signature(wheel, read_public_key(public))


def test_what_is_no_key_is_refused_in_words(wheel: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "own", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_private_key(tmp_path / "missing.pem")
    with pytest.raises(InvalidInputError, match="no private key"):
        read_private_key(wheel)
    with pytest.raises(InvalidInputError, match="no private key"):
        read_private_key(public)
    with pytest.raises(InvalidInputError, match="no public key"):
        read_public_key(private)
    unfit, _ = keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    with pytest.raises(InvalidInputError, match="kind that is not used"):
        read_private_key(unfit)


def test_a_signature_that_cannot_be_written_leaves_nothing(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    private, _ = keys(tmp_path, "own", ed25519.Ed25519PrivateKey.generate())
    before = sorted(wheel.parent.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="could not be written"):
        sign(wheel, read_private_key(private))
    assert sorted(wheel.parent.iterdir()) == before
