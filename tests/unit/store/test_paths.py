"""Where things are, as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildtool.errors import InvalidInputError
from buildtool.store.paths import expanded


def test_a_home_directory_is_put_out_and_an_unknown_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expanded("~/x") == Path("/home/somebody/x")
    assert expanded(Path("a/~b")) == Path("a/~b")
    with pytest.raises(InvalidInputError, match="home directory of a user that is not known here") as refused:
        expanded("~nobody-of-that-name/x")
    assert refused.value.hint == "Write the whole path."
