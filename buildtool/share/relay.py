"""A WebDAV server on the loopback for sccache: seals what goes out, opens what comes in, and never makes it wait long.

sccache keeps its own cache on disk in front of this one, so what was opened once is not asked for again. Objects are
sent in the background. A name that nobody keeps, a depot that is dead or slow, and an object whose seal does not fit
are all the same to sccache: a miss, after which it compiles.
"""

from __future__ import annotations

import contextlib
import hmac
import http.server
import queue
import secrets
import socket
import sys
import threading
import time
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

import msgspec

from buildtool.share.depot import LARGEST, Depot
from buildtool.share.guard import GivenUpError, Guard
from buildtool.share.seal import OVERHEAD, seal, unseal
from buildtool.store.lengths import read_length

Request = socket.socket | tuple[bytes, socket.socket]
WAITING = 512  # objects that wait to be sent; more are not sent
WAITING_BYTES = 256 << 20  # all of them together: they wait in memory, beside the compilers
SENDERS = 2
SEND_S = 20.0
DRAIN_S = 20.0
CHECK = ".sccache_check"  # what sccache writes and reads when it starts; a dead depot must not fail that


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What a relay did.

    Attributes:
        hits: objects that were opened and handed over.
        misses: names that nobody keeps.
        refused: objects whose seal did not fit: damaged, forged, or sealed with another key.
        sent: objects that were sealed and kept.
        dropped: objects that were not sent: the depot was in trouble, or they were too many or too large.
        failures: calls of the depot that failed or took too long.
        trouble: the last reason of those, "" without one.
        received_bytes, sent_bytes: of objects.
    """

    hits: int = 0
    misses: int = 0
    refused: int = 0
    sent: int = 0
    dropped: int = 0
    failures: int = 0
    trouble: str = ""
    received_bytes: int = 0
    sent_bytes: int = 0


class Relay:
    """Runs as long as its ``with`` block."""

    def __init__(self, depot: Depot, key: bytes, guard: Guard | None = None) -> None:
        """Keep objects in `depot`, sealed with `key`."""
        self._depot = depot
        self._key = key
        self.guard = guard or Guard()
        self.token = secrets.token_urlsafe(24)
        self._counts: dict[str, int] = {}
        self._handed: set[str] = set()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(WAITING)
        self._waiting_bytes = 0
        self.check: bytes | None = None
        self._server = _Server(self)
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)]
        self._threads += [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Self:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, unless the depot is in trouble, and stop."""
        deadline = time.monotonic() + (DRAIN_S if error is None else 0.0)
        while self._waiting.unfinished_tasks and time.monotonic() < deadline and not self.guard.resting:
            time.sleep(0.02)
        with contextlib.suppress(queue.Full):  # then they end with the program
            for _ in range(SENDERS):
                self._waiting.put_nowait(None)
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What makes sccache use this relay behind its own disk."""
        port = self._server.server_address[1]
        return {
            "SCCACHE_MULTILEVEL_CHAIN": "disk,webdav",
            "SCCACHE_WEBDAV_ENDPOINT": f"http://127.0.0.1:{port}",
            "SCCACHE_WEBDAV_TOKEN": self.token,
            "SCCACHE_WEBDAV_KEY_PREFIX": "",
        }

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        with self._lock:
            return Tally(failures=self.guard.failures, trouble=self.guard.reason, **self._counts)

    def count(self, name: str, number: int = 1) -> None:
        """Add to a field of the tally."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + number

    def load(self, name: str) -> bytes | None:
        """Return an object whose seal fits; None for everything else."""
        if name.endswith(CHECK):
            return self.check
        try:
            stored = self.guard.call(lambda: self._depot.get(name))
        except GivenUpError:
            return None
        if stored is None:
            self.count("misses")
            return None
        body = unseal(self._key, name, stored)
        if body is None:
            self.count("refused")
            return None
        if name not in self._handed:  # sccache asks twice: for the compiler, and for its own disk
            self._handed.add(name)
            self.count("hits")
            self.count("received_bytes", len(body))
        return body

    def store(self, name: str, body: bytes) -> None:
        """Take an object to be sent; what cannot be is dropped."""
        if name.endswith(CHECK):
            self.check = body
            return
        if self.guard.resting or not self._reserve(len(body)):
            self.count("dropped")
            return
        try:
            self._waiting.put_nowait((name, body))
        except queue.Full:
            self._reserve(-len(body))
            self.count("dropped")

    def _reserve(self, size: int) -> bool:
        """Take room for an object that waits, or with a negative size give it back; False when there is none."""
        with self._lock:
            if self._waiting_bytes + size > WAITING_BYTES:
                return False
            self._waiting_bytes += size
            return True

    def _send(self) -> None:
        while (item := self._waiting.get()) is not None:
            name, body = item
            try:
                sealed = seal(self._key, name, body)
                self.guard.call(lambda name=name, sealed=sealed: self._depot.put(name, sealed), SEND_S)  # type: ignore[misc]
                self.count("sent")
                self.count("sent_bytes", len(body))
            except GivenUpError:
                self.count("dropped")
            finally:
                self._reserve(-len(body))
                self._waiting.task_done()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Request, client_address: object) -> None:
        """Say nothing of a client that went away: sccache's server is stopped while its connections are open."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    """The few methods of WebDAV that sccache's client uses."""

    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 120

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
        """Say nothing: requests are counted instead."""

    def do_GET(self) -> None:
        """Hand over an object."""
        if self._allowed():
            body = self.server.relay.load(self._name())
            self._answer(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK, body or b"")

    def do_HEAD(self) -> None:
        """Say whether an object is there."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Take an object."""
        length = self._length()
        if not self._allowed():
            self.close_connection = True  # what a stranger sends is not read
            return
        if length is None or length > LARGEST - OVERHEAD:
            self._answer(HTTPStatus.LENGTH_REQUIRED if length is None else HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if len(body) < length:  # its sender was killed: half an object must not be kept as a whole one
            self.close_connection = True
            return
        self.server.relay.store(self._name(), body)
        self._answer(HTTPStatus.CREATED)

    def do_MKCOL(self) -> None:
        """Folders are only parts of names."""
        self._drain()
        if self._allowed():
            self._answer(HTTPStatus.CREATED)

    def do_DELETE(self) -> None:
        """Nothing is deleted."""
        self._drain()
        if self._allowed():
            self._answer(HTTPStatus.NO_CONTENT)

    def do_PROPFIND(self) -> None:
        """Describe a folder, or an object that is there."""
        self._drain()
        if not self._allowed():
            return
        path = urlsplit(self.path).path
        if path.endswith("/"):
            self._describe(path, "<D:resourcetype><D:collection/></D:resourcetype>")
            return
        body = self.server.relay.load(self._name())
        if body is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            size = f"<D:resourcetype/><D:getcontentlength>{len(body)}</D:getcontentlength>"
            self._describe(path, size)

    def _describe(self, path: str, properties: str) -> None:
        text = (
            '<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:"><D:response>'
            f"<D:href>{escape(path)}</D:href><D:propstat><D:prop>{properties}"
            "<D:getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</D:getlastmodified></D:prop>"
            "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
        )
        self._answer(HTTPStatus.MULTI_STATUS, text.encode(), "application/xml; charset=utf-8")

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).strip("/")

    def _allowed(self) -> bool:
        """Answer only to who knows the token: other users of this machine reach the port too."""
        given = self.headers.get("Authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.server.relay.token}".encode()):
            return True
        self._answer(HTTPStatus.UNAUTHORIZED)
        return False

    def _length(self) -> int | None:
        return read_length(self.headers.get("Content-Length", ""))

    def _drain(self) -> None:
        length = self._length()
        if length:
            self.rfile.read(min(length, 1 << 20))

    def _answer(self, status: HTTPStatus, body: bytes = b"", kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)
