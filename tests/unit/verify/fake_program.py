"""Stands for llama-server, llama-bench, test-backend-ops and llama-quantize in tests, by its own name.

The environment variable FAKE holds JSON: devices, wrong (a device whose answers are wrong), crash, failing,
silent (does not say where the layers are), exit (how test-backend-ops ends after all its cases).
"""

# ruff: noqa: T201
from __future__ import annotations

import http.server
import json
import os
import sys
import time
from pathlib import Path

FAKE = json.loads(os.environ.get("FAKE", "{}"))
DEVICES = FAKE.get("devices", [])


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def server() -> None:
    if "--list-devices" in sys.argv:
        rows = [f"  {name}: Fake {name} (100 MiB, 90 MiB free)" for name in DEVICES] or ["  (none)"]
        print("\n".join(["Available devices:", *rows]))
        return
    if FAKE.get("crash") == "llama-server":
        print("GGML_ASSERT(x) failed", flush=True)
        os.abort()
    device = option("--device")
    error = 1.4 if device == FAKE.get("wrong") else 0.001 if device != "none" else 0.0
    key = option("--api-key")
    if device != "none" and not FAKE.get("silent"):
        print("load_tensors: offloaded 3/3 layers to GPU", flush=True)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(200, {"status": "ok"})

        def do_POST(self) -> None:
            if FAKE.get("crash") == "hang":
                time.sleep(60)
            if self.headers["Authorization"] != f"Bearer {key}":
                self.answer(401, {})
                return
            wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            top = [{"id": 5, "logprob": -0.1 - error}, {"id": 6, "logprob": -3.0}]
            one = {"id": 5, "logprob": -0.1 - error, "top_logprobs": top}
            self.answer(200, {"completion_probabilities": [one] * wish["n_predict"]})

        def log_message(self, *_: object) -> None:
            return

    http.server.HTTPServer(("127.0.0.1", int(option("--port"))), Handler).serve_forever()


def bench() -> None:
    for prompt, generated in ((int(option("-p")), 0), (0, int(option("-n")))):
        record = {"model_type": "fake", "n_prompt": prompt, "n_gen": generated, "avg_ts": FAKE.get("speed", 10.0)}
        print(json.dumps(record))


def operations() -> None:
    if "--help" in sys.argv:
        print("  -j <n>   workers")
        return
    device = option("-b")
    failing = [] if FAKE.get("upstream") == "right" else FAKE.get("failing", [])
    print(f"Testing 1 devices\n\nBackend 1/1: {device}")
    if FAKE.get("crash") == "test-backend-ops":
        print("  ADD(type=f32): ", end="", flush=True)
        os.abort()
    print(f"  {9 - len(failing)}/9 tests passed")
    print("\n".join(["", "Failing tests:", *(f"  {case}" for case in failing)]) if failing else "")
    print(f"  Backend {device}: {'FAIL' if failing else 'OK'}\n{0 if failing else 1}/1 backends passed")
    sys.exit(FAKE.get("exit", bool(failing)))


def quantize() -> None:
    Path(sys.argv[2]).write_bytes(b"GGUF")


NAMES = {
    "llama-server": server,
    "llama-bench": bench,
    "test-backend-ops": operations,
    "llama-quantize": quantize,
}
NAMES[Path(sys.argv[0]).name]()
