from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildtool.share.seal import fingerprint, seal, unseal

KEY = bytes(range(32))


@given(st.binary(), st.text(max_size=20))
def test_what_was_sealed_opens_under_its_name_and_key_alone(body: bytes, name: str) -> None:
    stored = seal(KEY, name, body)
    assert unseal(KEY, name, stored) == body
    assert unseal(KEY, name + "x", stored) is None
    assert unseal(KEY[::-1], name, stored) is None


@given(st.binary(max_size=64), st.data())
def test_any_change_breaks_the_seal(body: bytes, data: st.DataObject) -> None:
    stored = bytearray(seal(KEY, "a/b", body))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    assert unseal(KEY, "a/b", bytes(stored)) is None
    whole = seal(KEY, "a/b", body)
    assert unseal(KEY, "a/b", whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.binary(max_size=200))
def test_what_was_never_sealed_does_not_open(stored: bytes) -> None:
    assert unseal(KEY, "a/b", stored) is None


def test_a_name_and_a_body_are_not_one_text() -> None:
    assert unseal(KEY, "a", seal(KEY, "ab", b"c")[:-1] + b"bc") is None
    assert fingerprint(KEY) != fingerprint(KEY[::-1])
