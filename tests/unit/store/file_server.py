"""A web server on the loopback that serves, and misbehaves, exactly as a test says."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from buildtool.store.registry import Registry


def loopback(server: FileServer | None = None, **options: Any) -> Registry:
    """Return a registry that is only `server`'s; an empty certificate folder saves reading the system's each time."""
    urls = (f"{server.url}/simple/",) if server is not None else ()
    values: dict[str, Any] = {"index_urls": urls, "use_default": False, "cert": str(Path(__file__).parent)}
    return Registry(**(values | options))


@dataclass
class Page:
    """What one path answers; the `trouble` lists are used up one request after the other."""

    content: bytes
    content_type: str = "application/octet-stream"
    ranges: bool = True
    statuses: list[int] = field(default_factory=list)  # answered before the content is
    cut_after: list[int] = field(default_factory=list)  # bytes after which the connection breaks
    stall_s: float = 0.0


class FileServer:
    """Serves `pages` and remembers which ranges were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.answer(self)

            def do_HEAD(self) -> None:
                owner.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, path: str, content: bytes, **behaviour: object) -> str:
        self.pages[path] = Page(content, **behaviour)  # type: ignore[arg-type]
        return self.url + path

    def add_package(self, name: str, filename: str, content: bytes, *, sha256: str | None = None) -> str:
        """Offer a file in a simple index below ``/simple/``; return its true sha256."""
        self.add(f"/files/{filename}", content)
        claim = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
        fragment = f"#sha256={claim}" if claim else ""
        page = self.pages.setdefault(f"/simple/{name}/", Page(b"<!DOCTYPE html>", "text/html"))
        page.content += f'<a href="/files/{filename}{fragment}">{filename}</a>'.encode()
        return hashlib.sha256(content).hexdigest()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.requests.append((request.path, asked))
        page = self.pages.get(request.path)
        if page is None or page.statuses:
            request.send_error(404 if page is None else page.statuses.pop(0))
            return
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        start = int(match[1]) if match and page.ranges else 0
        if match and page.ranges and start >= len(page.content):
            request.send_error(416)
            return
        body = page.content[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Type", page.content_type)
        request.send_header("Content-Length", str(len(body)))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
        request.end_headers()
        if request.command == "HEAD":
            return
        if page.cut_after:
            request.wfile.write(body[: page.cut_after.pop(0)])
            request.wfile.flush()
            request.close_connection = True
            request.connection.close()
            return
        time.sleep(page.stall_s)
        request.wfile.write(body)
