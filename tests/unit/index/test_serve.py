from __future__ import annotations

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_samples import everything

from buildtool.errors import InvalidInputError, StorageError
from buildtool.index import build_index
from buildtool.index.serve import HTML_TYPE, JSON_TYPE, IndexServer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    build_index((everything(tmp_path),), tmp_path)
    (tmp_path / "secret.txt").write_text("no")
    (tmp_path / ".hidden.html").write_text("no")
    (tmp_path / "out.html").symlink_to("/etc/hostname")
    with IndexServer(tmp_path, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def get(url: str, **headers: str) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, headers={key.replace("_", "-"): value for key, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_pages_come_in_the_form_that_is_asked_for(served: str) -> None:
    place = f"{served}/cuda13/gpubuild-llama-cuda13/"
    status, kind, body = get(place, Accept=f"{JSON_TYPE}, {HTML_TYPE}; q=0.1, text/html; q=0.01")
    assert (status, kind) == (200, JSON_TYPE)
    assert json.loads(body)["name"] == "gpubuild-llama-cuda13"
    assert get(place, Accept=f"{JSON_TYPE}; q=0.1, {HTML_TYPE}")[1] == HTML_TYPE
    assert get(place, Accept="text/html,*/*;q=0.8")[1] == "text/html; charset=utf-8"
    assert get(place)[1] == "text/html; charset=utf-8"


def test_the_page_for_people_holds_the_address_it_was_fetched_from(served: str) -> None:
    body = get(f"{served}/")[2].decode()
    assert f"{served}/vulkan/" in body
    body = get(f"{served}/", Host="wheels.lan:8000")[2].decode()
    assert "http://wheels.lan:8000/vulkan/" in body
    body = get(f"{served}/", Host='x"><script>')[2].decode()
    assert "<script>" not in body
    assert f"{served}/vulkan/" in body


@pytest.mark.parametrize(
    "path",
    ["/secret.txt", "/.hidden.html", "/out.html", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/nothing/",
     "/simple/..%2fsecret.txt", "/.gpubuild-index.lock", "/a%00b.html"],
)  # fmt: skip
def test_nothing_but_the_index_is_served(served: str, path: str) -> None:
    assert get(served + path)[0] == 404


def test_a_folder_without_a_slash_is_redirected_within_the_server(served: str) -> None:
    with urllib.request.urlopen(f"{served}/simple", timeout=10) as answer:
        assert answer.url == f"{served}/simple/"


def test_only_an_index_on_a_free_address_is_served(tmp_path: Path, served: str) -> None:
    with pytest.raises(StorageError, match="cannot be served on"):
        IndexServer(tmp_path, "127.0.0.1", int(served.rpartition(":")[2]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="no index"):
        IndexServer(tmp_path / "empty", "127.0.0.1", 0)


def test_a_visitor_who_goes_away_leaves_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build_index((everything(tmp_path),), tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    with wheel.open("ab") as stream:
        stream.truncate(64 << 20)
    with IndexServer(tmp_path, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as visitor:
            visitor.sendall(f"GET /{wheel.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            visitor.recv(1000)
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as a kill does
        assert get(f"{server.url}/")[0] == 200
        server.shutdown()
        thread.join()
    said = capfd.readouterr()
    assert said.err == ""


def test_other_trouble_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index((everything(tmp_path),), tmp_path)
    with IndexServer(tmp_path, "127.0.0.1", 0) as server:
        monkeypatch.setattr(server, "root", None)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        with pytest.raises(OSError, match=r"closed|reset"):
            get(f"{server.url}/")
        server.shutdown()
        thread.join()
    said = capfd.readouterr().err
    assert said.startswith("warning: a request could not be answered: ")
    assert said.count("\n") == 1
