"""The relay as sccache's client sees it, over depots that misbehave."""

from __future__ import annotations

import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from buildtool.share.guard import GivenUpError, Guard
from buildtool.share.relay import LARGEST, Relay
from buildtool.share.seal import seal

KEY = bytes(range(32))


class Shelf(dict[str, bytes]):
    """A depot in memory; `before` is called with every name."""

    def __init__(self, before: Callable[[str], None] = lambda _name: None) -> None:
        super().__init__()
        self.before = before

    def get(self, name: str) -> bytes | None:  # type: ignore[override]
        self.before(name)
        return dict.get(self, name)

    def put(self, name: str, data: bytes) -> None:
        self.before(name)
        self[name] = data


def ask(relay: Relay, method: str, name: str, body: bytes | None = None, token: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {relay.token if token is None else token}"}
    url = f"{relay.env['SCCACHE_WEBDAV_ENDPOINT']}/{name}"
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_what_one_machine_keeps_another_with_the_key_is_given() -> None:
    depot = Shelf()
    with Relay(depot, KEY) as first:
        assert ask(first, "GET", "a/b/object")[0] == 404
        assert ask(first, "PUT", "a/b/object", b"code")[0] == 201
    assert depot["a/b/object"] == seal(KEY, "a/b/object", b"code")
    assert (first.tally.misses, first.tally.sent, first.tally.sent_bytes) == (1, 1, 4)
    with Relay(depot, KEY) as second:
        assert ask(second, "GET", "a/b/object") == (200, b"code")
        assert ask(second, "GET", "a/b/object") == (200, b"code")
        assert b"<D:getcontentlength>4<" in ask(second, "PROPFIND", "a/b/object")[1]
        assert b"collection" in ask(second, "PROPFIND", "a/b/")[1]
    assert (second.tally.hits, second.tally.received_bytes) == (1, 4)


@pytest.mark.parametrize("lie", ["swapped", "changed", "unsealed", "other key", "cut"])
def test_a_lying_depot_is_a_miss(lie: str) -> None:
    depot = Shelf()
    honest = seal(KEY, "one", b"code one")
    depot["one"] = {
        "swapped": seal(KEY, "two", b"code two"),
        "changed": honest[:-1] + b"!",
        "unsealed": b"code one",
        "other key": seal(KEY[::-1], "one", b"code one"),
        "cut": honest[:-1],
    }[lie]
    with Relay(depot, KEY) as relay:
        assert ask(relay, "GET", "one") == (404, b"")
        assert ask(relay, "PROPFIND", "one")[0] == 404
    assert (relay.tally.refused, relay.tally.hits) == (2, 0)


def test_a_dead_depot_is_asked_three_times_and_no_more() -> None:
    asked: list[str] = []

    def dead(name: str) -> None:
        asked.append(name)
        message = "connection refused"
        raise ConnectionError(message)

    with Relay(Shelf(dead), KEY) as relay:
        assert [ask(relay, "GET", f"o{number}")[0] for number in range(20)] == [404] * 20
        assert ask(relay, "PUT", "o1", b"x")[0] == 201
    assert len(asked) == 3
    assert (relay.tally.failures, relay.tally.dropped) == (3, 1)
    assert "connection refused" in relay.tally.trouble


def test_sccaches_own_check_never_reaches_the_depot() -> None:
    def never(name: str) -> None:
        raise AssertionError(name)

    with Relay(Shelf(never), KEY) as relay:
        assert ask(relay, "GET", ".sccache_check")[0] == 404
        assert ask(relay, "PUT", ".sccache_check", b"Hello")[0] == 201
        assert ask(relay, "GET", ".sccache_check") == (200, b"Hello")
    assert relay.tally.failures == 0


def test_only_who_knows_the_token_is_answered() -> None:
    depot = Shelf()
    depot["one"] = seal(KEY, "one", b"code")
    with Relay(depot, KEY) as relay:
        for method, body in (("GET", None), ("HEAD", None), ("PUT", b"x"), ("PROPFIND", None), ("MKCOL", None)):
            assert ask(relay, method, "one", body, token="guess")[0] == 401
        assert ask(relay, "MKCOL", "a/")[0] == 201
        assert ask(relay, "DELETE", "one")[0] == 204
    assert dict.get(depot, "one") == seal(KEY, "one", b"code")


def test_what_is_too_large_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST > 1 << 20
    monkeypatch.setattr("buildtool.share.relay.LARGEST", 100)
    with Relay(Shelf(), KEY) as relay:
        assert ask(relay, "PUT", "one", b"x" * 200)[0] == 413


def connected(relay: Relay, request: str) -> socket.socket:
    """Send the beginning of a request, as a client that will not come to its end."""
    port = int(relay.env["SCCACHE_WEBDAV_ENDPOINT"].rpartition(":")[2])
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(request.encode())
    return client


def test_half_an_object_of_a_client_that_was_killed_is_not_kept() -> None:
    depot = Shelf()
    with Relay(depot, KEY) as relay:
        head = f"PUT /one HTTP/1.1\r\nAuthorization: Bearer {relay.token}\r\nContent-Length: 100\r\n\r\nhalf"
        with connected(relay, head) as client:
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1000) == b""
        assert ask(relay, "PUT", "two", b"whole")[0] == 201
    assert set(depot) == {"two"}


def test_what_a_stranger_sends_is_not_even_read() -> None:
    with Relay(Shelf(), KEY) as relay:
        head = f"PUT /one HTTP/1.1\r\nAuthorization: Bearer guess\r\nContent-Length: {LARGEST // 2}\r\n\r\n"
        with connected(relay, head) as client:
            assert client.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_a_length_that_is_none_is_refused_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    for length in ("9" * 5000, "-1", "\xb2", "x"):
        with Relay(Shelf(), KEY) as relay, socket.create_connection(("127.0.0.1", _port(relay)), 5) as client:
            head = f"PUT /a HTTP/1.1\r\nAuthorization: Bearer {relay.token}\r\nContent-Length: {length}\r\n\r\n"
            client.sendall(head.encode("latin-1"))
            assert client.recv(100).startswith(b"HTTP/1.1 411")
    assert "Traceback" not in capfd.readouterr().err


def _port(relay: Relay) -> int:
    return int(relay.env["SCCACHE_WEBDAV_ENDPOINT"].rpartition(":")[2])


def test_a_client_that_goes_away_is_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    with Relay(Shelf(), KEY) as relay:
        with connected(relay, "GET /one HTTP/1.1\r\nAuthor") as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
        assert ask(relay, "GET", "one")[0] == 404
        time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_what_waits_to_be_sent_takes_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildtool.share.relay.WAITING_BYTES", 100)
    go = threading.Event()
    depot = Shelf(lambda _name: go.wait(10) and None)
    with Relay(depot, KEY, Guard()) as relay:
        for name in ("one", "two", "three"):
            assert ask(relay, "PUT", name, b"x" * 40)[0] == 201
        assert relay.tally.dropped == 1
        go.set()
    assert set(depot) == {"one", "two"}
    with Relay(depot, KEY) as relay:
        for number in range(5):
            assert ask(relay, "PUT", f"later{number}", b"x" * 100)[0] == 201
            deadline = time.monotonic() + 10
            while relay.tally.sent <= number and time.monotonic() < deadline:
                time.sleep(0.01)
        assert (relay.tally.sent, relay.tally.dropped) == (5, 0), "what was sent makes room again"


def test_a_call_that_hangs_is_given_up_and_slow_ones_end_the_asking() -> None:
    release = threading.Event()
    guard = Guard()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(GivenUpError, match="no answer within"):
            guard.call(release.wait, 0.05)
        assert time.monotonic() - began < 5
    assert guard.resting
    with pytest.raises(GivenUpError):
        guard.call(lambda: 1)
    release.set()


def test_slow_answers_are_used_but_counted_and_a_good_one_forgives() -> None:
    now = [0.0]

    def slow() -> str:
        now[0] += 1.5
        return "late"

    guard = Guard(clock=lambda: now[0])
    assert guard.call(slow) == guard.call(slow) == "late"
    assert guard.call(lambda: "quick") == "quick"
    assert guard.call(slow) == guard.call(slow) == guard.call(slow) == "late"
    assert guard.resting
    now[0] += 61
    assert guard.call(lambda: "again") == "again"
