"""Where things are, as people write it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildtool.errors import InvalidInputError
from buildtool.store.paths import expanded, resolved


def test_a_home_directory_is_put_out_and_an_unknown_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expanded("~/x") == Path("/home/somebody/x")
    assert expanded(Path("a/~b")) == Path("a/~b")
    with pytest.raises(InvalidInputError, match="home directory of a user that is not known here") as refused:
        expanded("~nobody-of-that-name/x")
    assert refused.value.hint == "Write the whole path."


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert resolved(str(tmp_path / "link")) == tmp_path / "there"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 follows a circle to nowhere")
def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InvalidInputError, match="leads in a circle"):
        resolved(tmp_path / "a")
