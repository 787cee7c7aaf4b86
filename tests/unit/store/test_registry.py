from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildtool.errors import InvalidInputError
from buildtool.store.index import open_session
from buildtool.store.registry import DEFAULT_TIMEOUT_S, Registry, parse_pip_config, registry_from

LISTED = """\
:env:.cert='/etc/ssl/own.pem'
:env:.default-timeout='180'
download.index-url='https://mirror.invalid/simple'
freeze.timeout='10'
global.cert='/etc/ssl/other.pem'
global.extra-index-url='https://one.invalid/simple\\nfile:///srv/simple'
global.find-links='/srv/wheels https://links.invalid/page.html'
global.index-url='https://general.invalid/simple'
global.trusted-host='one.invalid'
"""


def test_the_environment_wins_over_sections_over_global() -> None:
    options = parse_pip_config(LISTED)
    assert options["cert"] == "/etc/ssl/own.pem"
    assert options["index-url"] == "https://mirror.invalid/simple"
    assert "timeout" not in options


def test_every_option_reaches_the_registry() -> None:
    assert registry_from(parse_pip_config(LISTED), {}) == Registry(
        index_urls=("https://mirror.invalid/simple", "https://one.invalid/simple", "file:///srv/simple"),
        find_links=("/srv/wheels", "https://links.invalid/page.html"),
        use_default=False,
        trusted_hosts=("one.invalid",),
        cert="/etc/ssl/own.pem",
        timeout_s=180,
    )


def test_nothing_configured_leaves_the_default_to_the_finder() -> None:
    assert registry_from({}, {}) == Registry()


def test_an_extra_index_stands_beside_the_default() -> None:
    found = registry_from({"extra-index-url": "https://one.invalid/simple"}, {})
    assert found.use_default
    assert found.index_urls == ("https://one.invalid/simple",)


def test_our_own_variable_replaces_everything() -> None:
    options = {"index-url": "https://a.invalid", "extra-index-url": "https://b.invalid", "no-index": "true"}
    found = registry_from(options, {"GPUBUILD_INDEX_URL": "https://mine.invalid/simple"})
    assert found.index_urls == ("https://mine.invalid/simple",)
    assert not found.use_default


def test_no_index_leaves_only_links() -> None:
    found = registry_from({"no-index": "1", "find-links": "/srv"}, {})
    assert (found.index_urls, found.use_default, found.find_links) == ((), False, ("/srv",))


def test_uv_is_asked_when_pip_is_silent() -> None:
    environ = {
        "UV_DEFAULT_INDEX": "https://a.invalid/simple",
        "UV_INDEX": "own=https://b.invalid/simple",
        "UV_FIND_LINKS": "/srv,/opt",
    }
    found = registry_from({}, environ)
    assert found.index_urls == ("https://a.invalid/simple", "https://b.invalid/simple")
    assert found.find_links == ("/srv", "/opt")
    assert registry_from({"index-url": "https://pip.invalid"}, environ).index_urls[0] == "https://pip.invalid"


@pytest.mark.parametrize("text", ["soon", "", "-1", "nan0"])
def test_a_senseless_timeout_is_ignored(text: str) -> None:
    assert registry_from({"timeout": text}, {}).timeout_s == DEFAULT_TIMEOUT_S


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    assert all(isinstance(value, str) for value in parse_pip_config(text).values())


def test_an_unreadable_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for cert in (tmp_path / "bad.pem", tmp_path / "missing.pem"):
        with pytest.raises(InvalidInputError, match=r"pem cannot be used"):
            open_session(Registry(cert=str(cert)))


def test_a_folder_of_certificates_is_accepted(tmp_path: Path) -> None:
    with open_session(Registry(cert=str(tmp_path), proxy="http://127.0.0.1:9")) as session:
        assert session is not None
    assert ssl.create_default_context(capath=str(tmp_path)).verify_mode is ssl.CERT_REQUIRED
