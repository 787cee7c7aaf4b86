from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, loopback

from buildtool.errors import IntegrityError, InvalidInputError, NetworkError, StorageError
from buildtool.store import download
from buildtool.store.download import Downloads, Wanted, locate
from buildtool.store.index import Index

CONTENT = os.urandom(3 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)


def wanted(*urls: str) -> Wanted:
    return Wanted(filename="file.bin", sha256=SHA256, urls=urls)


def fetch(root: Path, *urls: str, timeout_s: float = 10) -> bytes:
    with (
        Index(loopback(timeout_s=timeout_s)) as index,
        Downloads(index, root).fetched(wanted(*urls)) as path,
    ):
        return path.read_bytes()


def test_a_file_arrives_and_leaves_nothing_behind(tmp_path: Path, server: FileServer) -> None:
    assert fetch(tmp_path, server.add("/f", CONTENT)) == CONTENT
    assert not [path for path in tmp_path.rglob("*") if path.suffix != ".lock"]


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path, server: FileServer) -> None:
    assert fetch(tmp_path, server.add("/f", CONTENT, cut_after=[1 << 20, 1 << 20])) == CONTENT
    assert server.requests[0] == ("/f", None)
    assert all(asked and asked != "bytes=0-" for _, asked in server.requests[1:])
    assert len(server.requests) == 3


def test_a_server_without_ranges_is_asked_again_for_everything(tmp_path: Path, server: FileServer) -> None:
    assert fetch(tmp_path, server.add("/f", CONTENT, cut_after=[1 << 20], ranges=False)) == CONTENT


def test_a_part_left_by_a_killed_run_is_continued(tmp_path: Path, server: FileServer) -> None:
    part = tmp_path / SHA256 / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    assert fetch(tmp_path, server.add("/f", CONTENT)) == CONTENT
    assert server.requests == [("/f", "bytes=1000-")]


@pytest.mark.parametrize("left", [CONTENT, b"wrong" * 100, CONTENT + b"too much"], ids=["all", "wrong", "longer"])
def test_a_part_of_something_else_is_thrown_away(tmp_path: Path, server: FileServer, left: bytes) -> None:
    part = tmp_path / SHA256 / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(left)
    assert fetch(tmp_path, server.add("/f", CONTENT)) == CONTENT


def test_wrong_bytes_are_refused_and_deleted(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(IntegrityError) as caught:
        fetch(tmp_path, server.add("/f", b"something else"))
    assert SHA256 in caught.value.why
    assert "14 bytes" in caught.value.why
    assert not list(tmp_path.rglob("file.bin*"))


def test_a_good_mirror_rescues_a_bad_one(tmp_path: Path, server: FileServer) -> None:
    bad, gone, good = server.add("/bad", b"x"), f"{server.url}/gone", server.add("/good", CONTENT)
    assert fetch(tmp_path, gone, bad, good) == CONTENT


def test_passing_trouble_is_waited_out(tmp_path: Path, server: FileServer) -> None:
    assert fetch(tmp_path, server.add("/f", CONTENT, statuses=[503, 429])) == CONTENT


def test_lasting_trouble_ends(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(NetworkError, match="/f could not be fetched") as caught:
        fetch(tmp_path, server.add("/f", CONTENT, statuses=[503] * 100))
    assert "503" in caught.value.why
    assert len(server.requests) == download.BARREN_ATTEMPTS


def test_a_missing_file_is_asked_for_once(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(tmp_path, f"{server.url}/nothing")
    assert "404" in caught.value.why
    assert len(server.requests) == 1


def test_a_silent_server_counts_as_dead(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(tmp_path, server.add("/f", CONTENT, stall_s=0.4), timeout_s=0.02)
    assert "Timeout" in caught.value.why


def test_no_network_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(tmp_path, "http://127.0.0.1:9/f")
    assert "GPUBUILD_INDEX_URL" in caught.value.hint


def test_a_password_in_an_address_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(tmp_path, "http://user:secret@127.0.0.1:9/f")
    assert "secret" not in f"{caught.value.what}{caught.value.why}"


def test_files_need_no_server(tmp_path: Path) -> None:
    origin = tmp_path / "with space & ümlaut.bin"
    origin.write_bytes(CONTENT)
    assert fetch(tmp_path / "cache", origin.as_uri()) == CONTENT
    assert origin.exists()


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        fetch(tmp_path, "ftp://example.invalid/f")


def test_a_failure_after_the_download_keeps_it(tmp_path: Path, server: FileServer) -> None:
    server.add("/f", CONTENT)

    def failing(index: Index) -> None:
        with Downloads(index, tmp_path).fetched(wanted(f"{server.url}/f")):
            raise KeyboardInterrupt

    with Index(loopback()) as index, pytest.raises(KeyboardInterrupt):
        failing(index)
    assert fetch(tmp_path, f"{server.url}/f") == CONTENT
    assert len(server.requests) == 1


def test_a_kept_download_that_was_damaged_is_fetched_again(tmp_path: Path, server: FileServer) -> None:
    kept = tmp_path / SHA256 / "file.bin"
    kept.parent.mkdir()
    kept.write_bytes(CONTENT[:-1])
    assert fetch(tmp_path, server.add("/f", CONTENT)) == CONTENT


def test_too_little_space_is_told_before_the_download(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildtool.store.storage.free_bytes", lambda _: 1 << 20)
    with pytest.raises(StorageError) as caught:
        fetch(tmp_path, server.add("/f", CONTENT))
    assert "It needs 3 MB; 1 MB are free" in caught.value.why


def test_a_disk_that_fills_up_is_told(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download._Part, "append", full)
    with pytest.raises(StorageError, match=r"full while writing file\.bin"):
        fetch(tmp_path, server.add("/f", CONTENT))


def test_measuring_pins_what_it_fetched(tmp_path: Path, server: FileServer) -> None:
    url = server.add("/some/tree.tar.gz", CONTENT)
    with Index(loopback()) as index:
        downloads = Downloads(index, tmp_path)
        pinned = downloads.measure(url)
        assert pinned == Wanted(filename="tree.tar.gz", sha256=SHA256, urls=(url,))
        with downloads.fetched(pinned) as path:
            assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_killed_download_goes_on_where_it_was(tmp_path: Path, server: FileServer) -> None:
    url = server.add("/f", CONTENT, cut_after=[2 << 20])
    child = multiprocessing.get_context("fork").Process(target=_fetch_and_hang, args=(tmp_path, url))
    child.start()
    part = tmp_path / SHA256 / "file.bin.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    had = part.stat().st_size
    assert had > 0
    assert fetch(tmp_path, url) == CONTENT
    assert server.requests[-1] == ("/f", f"bytes={had}-")


def _fetch_and_hang(root: Path, url: str) -> None:
    download.BACKOFF_S = 1000
    fetch(root, url)


def registry(server: FileServer) -> Index:
    return Index(loopback(server))


def test_a_pinned_file_is_found_in_the_registry(server: FileServer) -> None:
    sha256 = server.add_package("some-thing", "some_thing-1.0.tar.gz", CONTENT)
    with registry(server) as index:
        found = locate(index, "Some.Thing", "some_thing-1.0.tar.gz", sha256)
    assert found.urls == (f"{server.url}/files/some_thing-1.0.tar.gz",)


def test_wheels_of_other_platforms_are_found_too(server: FileServer) -> None:
    name = "thing-1.0-py3-none-win_arm64.whl"
    sha256 = server.add_package("thing", name, b"x", sha256="")
    with registry(server) as index:
        assert locate(index, "thing", name, sha256).urls


def test_a_registry_that_claims_another_hash_is_not_even_asked(server: FileServer) -> None:
    server.add_package("thing", "thing-1.0.tar.gz", b"x", sha256="0" * 64)
    with registry(server) as index, pytest.raises(IntegrityError, match=r"registry's thing-1\.0\.tar\.gz"):
        locate(index, "thing", "thing-1.0.tar.gz", SHA256)
    assert [path for path, _ in server.requests] == ["/simple/thing/"]


def test_a_registry_without_the_package_says_so(server: FileServer) -> None:
    with registry(server) as index, pytest.raises(NetworkError, match="offers nothing") as caught:
        index.files("nothing")
    assert "404" in caught.value.why


def test_a_registry_without_the_file_says_so(server: FileServer) -> None:
    server.add_package("thing", "thing-1.0.tar.gz", b"x")
    with registry(server) as index, pytest.raises(NetworkError, match=r"thing-2\.0"):
        locate(index, "thing", "thing-2.0.tar.gz", SHA256)


def test_an_unreachable_registry_says_what_to_set() -> None:
    with (
        Index(loopback(index_urls=("http://127.0.0.1:9/simple/",))) as index,
        pytest.raises(NetworkError) as caught,
    ):
        index.files("thing")
    assert "find-links" in caught.value.hint


def test_a_folder_of_files_is_enough(tmp_path: Path) -> None:
    (tmp_path / "thing-1.0.tar.gz").write_bytes(CONTENT)
    with Index(loopback(find_links=(str(tmp_path), "/missing"))) as index:
        found = locate(index, "thing", "thing-1.0.tar.gz", SHA256)
        with Downloads(index, tmp_path / "cache").fetched(found) as path:
            assert path.read_bytes() == CONTENT


def test_forbidden_registries_are_not_asked() -> None:
    with Index(loopback()) as index, pytest.raises(NetworkError, match="no-index"):
        index.files("thing")
