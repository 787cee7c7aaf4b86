from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.build.launcher import Launcher
from buildtool.build.shared import started
from buildtool.errors import InvalidInputError
from buildtool.share import Setting, Tally, current, forget, keep, open_depot
from buildtool.share.depot import service
from buildtool.share.record import add, load
from buildtool.share.trial import trial

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GPUBUILD_CACHE", str(tmp_path / "cache"))
    for name in ("GPUBUILD_REMOTE_CACHE", "GPUBUILD_REMOTE_CACHE_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_setting_is_kept_for_its_owner_alone_and_its_key_stays() -> None:
    assert current() is None
    first = keep("redis://:secret@cache.lan:6379", None)
    path = Path(first.source)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.shown == "redis://cache.lan:6379"
    assert len(first.secret) == 32
    second = keep("redis://other.lan:6379", None)
    assert second.key == first.key
    assert current() == second
    assert keep("redis://other.lan:6379", KEY).key == KEY
    assert forget() is True
    assert forget() is False
    assert current() is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@host:8443/dav", "https://host:8443/dav"),
        (
            "s3://bucket/a?region=eu-1&endpoint=https://s3.lan&access_key_id=AKIA&secret_access_key=x%2Fy",
            "s3://bucket/a?region=eu-1&endpoint=https://s3.lan&access_key_id=...&secret_access_key=...",
        ),
        ("redis://host?Password=x", "redis://host?Password=..."),
    ],
)
def test_no_secret_of_an_address_is_shown(url: str, shown: str) -> None:
    assert Setting(url=url, key=KEY).shown == shown


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE", "redis://env.lan")
    with pytest.raises(InvalidInputError, match="GPUBUILD_REMOTE_CACHE_KEY is not"):
        current()
    keep("redis://file.lan", KEY)
    assert (current() or Setting(url="", key="")).url == "redis://env.lan"  # with the file's key
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE", "none")
    assert current() is None


@pytest.mark.parametrize("url", ["", "redis", "redis://", "ftp://host", "http://[", "redis://h:port", "file://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="is no address"):
        keep(url, KEY)
    assert current() is None


@pytest.mark.parametrize("key", ["", "abc", "zz" * 32, "ab" * 31])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="key"):
        keep("redis://host", key)


@pytest.mark.parametrize("content", [b"{", b'{"url": "\xff", "key": ""}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = Path(keep("redis://host", KEY).source)
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        current()
    assert tmp_path in path.parents


@pytest.mark.parametrize(
    ("url", "scheme", "options"),
    [("redis://:pw@h:6379/2", "redis",
      {"endpoint": "redis://h:6379", "db": "2", "password": "pw", "root": "/gpubuild-cache"}),
     ("s3://bucket/a/b?region=eu&endpoint=http://s3.lan", "s3",
      {"bucket": "bucket", "root": "/a/b/gpubuild-cache", "region": "eu", "endpoint": "http://s3.lan"}),
     ("https://me:p%40w@h/dav", "webdav",
      {"endpoint": "https://h/dav", "username": "me", "password": "p@w", "root": "/gpubuild-cache"}),
     ("file:///mnt/my%20cache", "fs", {"root": "/mnt/my cache/gpubuild-cache"})],
)  # fmt: skip
def test_an_address_becomes_a_service_with_options(url: str, scheme: str, options: dict[str, str]) -> None:
    assert service(url) == (scheme, options)


def test_a_folder_works_as_a_depot_and_the_trial_tells(tmp_path: Path) -> None:
    pytest.importorskip("opendal")
    depot = open_depot(f"file://{tmp_path}/depot")
    assert depot.get("a/b") is None
    depot.put("a/b", b"x")
    assert depot.get("a/b") == b"x"
    assert trial(Setting(url=f"file://{tmp_path}/depot", key=KEY)).works
    (tmp_path / "file").write_text("")
    assert not trial(Setting(url=f"file://{tmp_path}/file/below", key=KEY)).works
    assert not trial(Setting(url="redis://127.0.0.1:9", key=KEY)).works


def test_an_object_that_is_too_large_to_be_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opendal")
    depot = open_depot(f"file://{tmp_path}/depot")
    monkeypatch.setattr("buildtool.share.depot.LARGEST", 100)
    for name, size in (("small", 100), ("large", 101)):
        depot.put(name, b"x" * size)
    assert depot.get("small") == b"x" * 100
    assert depot.get("large") == b""


def test_counts_of_builds_add_up_and_a_damaged_record_begins_anew(tmp_path: Path) -> None:
    add("redis://h", Tally(hits=2, misses=1))
    add("redis://h", Tally(hits=3, failures=1, trouble="slow"))
    assert load().builds == {"redis://h": 2}
    assert load().tallies["redis://h"] == Tally(hits=5, misses=1, failures=1, trouble="slow")
    for content in (b"{", b'{"builds": {"\xff": 1}}'):
        (tmp_path / "cache" / "share.json").write_bytes(content)
        assert load().builds == {}


@pytest.mark.parametrize("url", ["redis://", "redis://127.0.0.1:9?nonsense=1", "s3://bucket"])
def test_a_shared_cache_that_cannot_be_opened_does_not_stop_a_build(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE", url)
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE_KEY", KEY)
    fake = tmp_path / "sccache"
    fake.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/calls\n")
    fake.chmod(0o755)
    launcher = Launcher(name="sccache", program=str(fake), env={})
    said: list[str] = []
    with started(launcher, said.append) as share:
        pass
    calls = (tmp_path / "calls").read_text().split()
    if share.relay is None:
        assert said
        assert calls == ["--start-server"]
    else:
        assert calls == ["--stop-server", "--start-server", "--stop-server"]


def gpubuild(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from buildtool.cli.main import main; main()", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_sets_tries_and_forgets(tmp_path: Path) -> None:
    pytest.importorskip("opendal")
    (tmp_path / "key").write_text(KEY + "\n")
    done = gpubuild("cache", "use", f"file://{tmp_path}/depot", "--key-file", str(tmp_path / "key"))
    assert (done.returncode, KEY in done.stdout) == (0, False)
    done = gpubuild("cache", "status", "--json")
    assert json.loads(done.stdout)["trial"]["works"] is True
    assert gpubuild("cache", "use", "none").stdout == "No shared cache is used any more.\n"
    assert gpubuild("cache", "use", "gopher://x").returncode == 12
