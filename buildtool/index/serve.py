"""Serves an index on the local network: the right content types, JSON where it is asked for, nothing but the index."""

from __future__ import annotations

import html
import http.server
import re
import shutil
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from buildtool.errors import InvalidInputError, StorageError
from buildtool.index.model import CATALOGUE
from buildtool.index.page import ADDRESS

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
TYPES = {
    ".whl": "application/octet-stream",
    ".metadata": "text/plain; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
}
_HOST = re.compile(r"^[A-Za-z0-9.\-]+(?::\d{1,5})?$|^\[[0-9a-fA-F:.]+\](?::\d{1,5})?$")
_PART = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")


class IndexServer(http.server.ThreadingHTTPServer):
    """A server of one index; `url` is where it answers."""

    daemon_threads = True

    def __init__(self, root: Path, bind: str, port: int, *, quiet: bool = True) -> None:
        """Bind to an address; 0 takes any free port.

        Raises:
            InvalidInputError: `root` holds no index.
            StorageError: the address cannot be bound.
        """
        if not (root / CATALOGUE).is_file():
            what = f"There is no index in {root}."
            raise InvalidInputError(what, hint=f"Write it first: gpubuild index build {root}")
        self.root = root.resolve()
        self.quiet = quiet
        try:
            super().__init__((bind, port), _Handler)
        except (OSError, OverflowError) as error:
            what = f"{bind}:{port} cannot be served on."
            raise StorageError(what, why=str(error), hint="Choose another with --bind and --port.") from error

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the inherited names
        """Pass over a visitor who went away in the middle; say any other trouble in one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            sys.stderr.write(f"warning: a request could not be answered: {type(error).__name__}: {error}\n")

    @property
    def url(self) -> str:
        """Where the index is, without a slash at the end."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "gpubuild"
    sys_version = ""
    server: IndexServer
    timeout = 60  # seconds of silence after which a connection is dropped

    def do_GET(self) -> None:
        """Answer with a file of the index."""
        self._answer(send_body=True)

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(send_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
        """Log requests on standard error, unless told to be quiet."""
        if not self.server.quiet:
            super().log_message(format, *args)

    def _answer(self, *, send_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        parts = [part for part in path.split("/") if part]
        if not all(_PART.match(part) for part in parts):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        file = self.server.root.joinpath(*parts)
        if file.is_dir():
            if not path.endswith("/"):
                self._redirect(f"/{'/'.join(parts)}/")
                return
            file = self._page(file, simple=bool(parts))
        if file.suffix not in TYPES or not file.is_file() or not file.resolve().is_relative_to(self.server.root):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        self._send(file, people=not parts or parts == ["index.html"], send_body=send_body)

    def _page(self, folder: Path, *, simple: bool) -> Path:
        """Choose between the HTML and the JSON page of a folder, as PEP 691 says."""
        wants_json = simple and _prefers_json(self.headers.get("Accept", ""))
        return folder / ("index.json" if wants_json else "index.html")

    def _send(self, file: Path, *, people: bool, send_body: bool) -> None:
        kind = TYPES[file.suffix]
        if file.name == "index.json":
            kind = JSON_TYPE
        elif file.name == "index.html" and not people and HTML_TYPE in self.headers.get("Accept", ""):
            kind = HTML_TYPE
        with file.open("rb") as stream:
            content = self._with_address(stream.read()) if people else None
            size = len(content) if content is not None else file.stat().st_size
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            self.send_header("Vary", "Accept")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-cache" if file.suffix in {".html", ".json"} else "max-age=3600")
            self.end_headers()
            if send_body and content is not None:
                self.wfile.write(content)
            elif send_body:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)

    def _with_address(self, page: bytes) -> bytes:
        """Put the address that the visitor used into the lines to paste."""
        host = self.headers.get("Host", "")
        url = f"http://{host}" if _HOST.match(host) else self.server.url
        return page.replace(ADDRESS.encode(), html.escape(url).encode())

    def _redirect(self, where: str) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status: HTTPStatus) -> None:
        body = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _prefers_json(accept: str) -> bool:
    """Whether a client ranks the JSON form above the HTML forms."""
    best = {"json": 0.0, "html": 0.0}
    for entry in accept.split(","):
        kind, *parameters = (piece.strip() for piece in entry.split(";"))
        quality = next((_number(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        if kind in {JSON_TYPE, "application/vnd.pypi.simple.latest+json"}:
            best["json"] = max(best["json"], quality)
        elif kind in {HTML_TYPE, "text/html", "application/vnd.pypi.simple.latest+html"}:
            best["html"] = max(best["html"], quality)
    return best["json"] > 0 and best["json"] >= best["html"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
