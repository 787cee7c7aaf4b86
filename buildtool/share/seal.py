"""The seal: a keyed hash over an object and the name it is stored under (HMAC-SHA-256).

A server that keeps sealed objects can lose them, but it can neither change one, nor make one up, nor pass one off under
another name, without the key.
"""

from __future__ import annotations

import hashlib
import hmac

MAGIC = b"gpubuild-seal-1\n"
SIZE = hashlib.sha256().digest_size
OVERHEAD = len(MAGIC) + SIZE


def seal(key: bytes, name: str, body: bytes) -> bytes:
    """Return an object as it is stored under a name."""
    return MAGIC + _mac(key, name, body) + body


def unseal(key: bytes, name: str, stored: bytes) -> bytes | None:
    """Return the object, or None when it was not sealed with this key under this name."""
    if not stored.startswith(MAGIC) or len(stored) < OVERHEAD:
        return None
    mac, body = stored[len(MAGIC) : OVERHEAD], stored[OVERHEAD:]
    return body if hmac.compare_digest(mac, _mac(key, name, body)) else None


def fingerprint(key: bytes) -> str:
    """Return a short name of a key, by which two machines see whether they have the same."""
    return hashlib.sha256(b"gpubuild key " + key).hexdigest()[:12]


def _mac(key: bytes, name: str, body: bytes) -> bytes:
    encoded = name.encode()
    return hmac.new(key, len(encoded).to_bytes(8, "big") + encoded + body, hashlib.sha256).digest()
