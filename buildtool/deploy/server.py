"""Asks a running Ollama over its API: version, models, what is loaded, a few tokens."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping

import msgspec

from buildtool.errors import VerificationError

PORT, LAST = 11434, 65535
SCHEMES = {"http": 80, "https": 443}
ASK_S = 5.0
TOKENS = 8
PROMPT = "Why is the sky blue?"


_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):([^:]*)")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is loaded: bytes in all, and on the GPU."""

    name: str
    size: int
    size_vram: int


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is installed, with its size in bytes."""

    name: str
    size: int


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens."""

    host: str
    port: int

    @staticmethod
    def of(env: Mapping[str, str]) -> Server:
        """Read OLLAMA_HOST as Ollama does: a scheme stands for its port, the path is passed over.

        What is no port of 0 to 65535 is the default one, and "every address" is this machine.
        """
        words = env.get("OLLAMA_HOST", "").strip().strip("\"'")
        scheme, separator, rest = words.partition("://")
        place = (rest if separator else words).partition("/")[0]
        usual = SCHEMES.get(scheme, PORT) if separator else PORT
        found = _HOST_PORT.fullmatch(place)  # else an address alone, as one of version 6 without brackets
        host, port = (found[1], found[2]) if found is not None else (place, "")
        host = host.strip("[]")
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= LAST else usual  # noqa: PLR2004
        return Server(host="127.0.0.1" if host in {"", "0.0.0.0", "::"} else host, port=number)  # noqa: S104

    @property
    def words(self) -> str:
        """The address, for people."""
        return f"{self.host}:{self.port}"

    def version(self) -> str | None:
        """Return the version of the server, None when nobody answers."""
        try:
            found = self._ask("GET", "/api/version", None, ASK_S)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return str(found.get("version", "")) or None

    def wait(self, limit_s: float, step_s: float = 0.2) -> str | None:
        """Wait until the server answers; return its version, None when it does not in time."""
        end = time.monotonic() + limit_s
        while True:
            found = self.version()
            if found is not None or time.monotonic() >= end:
                return found
            time.sleep(step_s)

    def loaded(self) -> tuple[Loaded, ...]:
        """Return what is loaded; nothing when nobody answers."""
        return tuple(
            Loaded(name=str(row.get("name", "")), size=_number(row, "size"), size_vram=_number(row, "size_vram"))
            for row in self._rows("/api/ps")
        )

    def models(self) -> tuple[Local, ...]:
        """Return the installed models, the smallest first."""
        rows = (Local(name=str(row.get("name", "")), size=_number(row, "size")) for row in self._rows("/api/tags"))
        return tuple(sorted(rows, key=lambda one: (one.size, one.name)))

    def generate(self, model: str, limit_s: float) -> str:
        """Let a model write a few tokens and return them.

        Raises:
            VerificationError: it does not answer.
        """
        body = {"model": model, "prompt": PROMPT, "stream": False, "options": {"num_predict": TOKENS}}
        what = f"The model {model} does not answer."
        try:
            found = self._ask("POST", "/api/generate", body, limit_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise VerificationError(what, why=str(error)) from error
        if not found.get("done") or "error" in found:
            raise VerificationError(what, why=str(found.get("error", "it sent no end")))
        return str(found.get("response", ""))

    def _rows(self, path: str) -> list[dict[str, object]]:
        try:
            found = self._ask("GET", path, None, ASK_S).get("models")
        except (OSError, http.client.HTTPException, ValueError):
            return []
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def _ask(self, verb: str, path: str, body: object, limit_s: float) -> dict[str, object]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=limit_s)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(verb, path, text, {"Content-Type": "application/json"})
            found = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if not isinstance(found, dict):
            message = f"{path} answered with no object"
            raise ValueError(message)  # noqa: TRY004 - a wrong answer, as one that is no JSON
        return found


def _number(row: Mapping[str, object], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) else 0
