"""Asks a llama-server of the artefact, on the loopback, for greedy completions with their probabilities."""

from __future__ import annotations

import http.client
import re
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import VerificationError
from buildtool.verify.findings import last_lines
from buildtool.verify.parse_completion import Generation, parse_completion

HOST = "127.0.0.1"
STARTS = 3
_OFFLOADED = re.compile(r"offloaded (\d+/\d+) layers to GPU")
_POLL_S = 0.05


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start one server: the program, its environment, the model, and the device (None: the CPU alone)."""

    program: Path
    env: dict[str, str]
    scratch: Path
    model: Path
    device: str | None
    timeout_s: float

    def argv(self, port: int, key: str) -> list[str]:
        """Return the command line; the key keeps strangers out, and tells our server from another's."""
        where = ["--device", self.device or "none", "-ngl", "999" if self.device else "0"]
        return [str(self.program), "-m", str(self.model), "--host", HOST, "--port", str(port), "--api-key", key,
                "-c", "1024", "-np", "1", "--seed", "1", "--offline", "-lv", "4", *where]  # fmt: skip


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The completions of one server, how many layers it put on the device, and the ggml libraries it mapped."""

    generations: tuple[Generation, ...]
    offloaded: str | None
    mapped: tuple[str, ...]


def ask(launch: Launch, prompts: Sequence[str | list[int]], tokens: int, candidates: int) -> Answers:
    """Start a server, ask all prompts one after the other, and stop it.

    Args:
        launch: what to start.
        prompts: texts, or token ids.
        tokens: how many tokens to generate for each.
        candidates: how many of the best candidates to report at every position.

    Raises:
        VerificationError: the server does not start, dies, hangs, or answers nonsense.
    """
    deadline = time.monotonic() + launch.timeout_s
    with _serving(launch, deadline) as (running, port, key):
        generations = tuple(
            _complete(running, port, key, _wish(prompt, tokens, candidates), deadline) for prompt in prompts
        )
        mapped = mapped_libraries(running.pid)
    found = _OFFLOADED.findall("\n".join(running.lines))
    return Answers(generations=generations, offloaded=found[-1] if found else None, mapped=mapped)


@contextmanager
def _serving(launch: Launch, deadline: float) -> Iterator[tuple[process.Background, int, str]]:
    """Start the server on a free port; another program may take that first, so try again a few times."""
    key = secrets.token_urlsafe(16)
    for attempt in range(1, STARTS + 1):
        port = _free_port()
        with process.background(launch.argv(port, key), cwd=launch.scratch, env=launch.env) as running:
            if _healthy(running, port, deadline):
                yield running, port, key
                return
            taken = any("couldn't bind" in line or "bind HTTP server" in line for line in running.lines)
        if not taken or attempt == STARTS:
            raise _dead(running, deadline, "did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _healthy(running: process.Background, port: int, deadline: float) -> bool:
    while running.returncode is None and time.monotonic() < deadline:
        try:
            status, _ = _request("GET", "/health", port, None, None, 5.0)
        except (OSError, http.client.HTTPException):
            status = 0
        if status == http.HTTPStatus.OK:
            return running.returncode is None
        time.sleep(_POLL_S)
    return False


def _wish(prompt: str | list[int], tokens: int, candidates: int) -> dict[str, object]:
    return {"prompt": prompt, "n_predict": tokens, "temperature": -1.0, "n_probs": candidates, "seed": 1,
            "cache_prompt": False, "ignore_eos": True, "stream": False}  # fmt: skip


def _complete(running: process.Background, port: int, key: str, wish: dict[str, object], deadline: float) -> Generation:
    left = max(1.0, deadline - time.monotonic())
    try:
        status, body = _request("POST", "/completion", port, key, msgspec.json.encode(wish), left)
    except (OSError, http.client.HTTPException) as error:
        raise _dead(running, deadline, f"broke the connection ({error})") from error
    if status != http.HTTPStatus.OK:
        what = f"llama-server refused a completion with status {status}."
        raise VerificationError(what, details=(body.decode("utf-8", "replace")[:400],))
    return parse_completion(body)


def _request(
    method: str, path: str, port: int, key: str | None, body: bytes | None, timeout_s: float
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _dead(running: process.Background, deadline: float, did: str) -> VerificationError:
    code = running.returncode
    if time.monotonic() >= deadline:
        why = "It took longer than the time limit of this step."
    elif code is None:
        why = "It was still running."
    else:
        why = f"It was killed by signal {-code}." if code < 0 else f"It ended with exit code {code}."
    return VerificationError(f"llama-server {did}.", why=why, details=last_lines("\n".join(running.lines)))


def mapped_libraries(pid: int) -> tuple[str, ...]:
    """Return the paths of the shared libraries that a process has mapped; empty where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
    except OSError:
        return ()
    paths = {line.split(maxsplit=5)[-1] for line in text.splitlines() if ".so" in line}
    return tuple(sorted(path for path in paths if path.startswith("/")))
