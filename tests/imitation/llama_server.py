"""A stand-in for llama-server where the real one cannot help: a machine with an AMD card, imitated.

The card is the one in IMITATED_CARD (a processor such as gfx1032). It is listed when the module in GGML_BACKEND_PATH
holds code for it, as the HIP runtime would find out; HSA_OVERRIDE_GFX_VERSION makes it pass for another, and
IMITATED_LIBRARY (Vulkan) makes it another library's. For tests of the transaction; never a proof that a runner works.
"""

from __future__ import annotations

import http.server
import os
import sys
from pathlib import Path

if "--version" in sys.argv:
    print("version: 0.5.0-dev (build 0, commit unknown)", file=sys.stderr)
    sys.exit(0)

card = os.environ.get("IMITATED_CARD", "")
override = os.environ.get("HSA_OVERRIDE_GFX_VERSION", "")
if override and card:
    major, minor, stepping = map(int, override.split("."))
    card = f"gfx{major}{minor:x}{stepping:x}"
module = os.environ.get("GGML_BACKEND_PATH", "")
library = os.environ.get("IMITATED_LIBRARY", "ROCm")
fits = bool(card and module and f"--{card}".encode() in Path(module).read_bytes())

if fits and library == "ROCm":
    print(f"  Device 0: AMD Radeon RX 6600, {card} (0x{card[3:]}), VMM: no, Wave Size: 32, VRAM: 8176 MiB")
if "--list-devices" in sys.argv:
    print("Available devices:")
    print(f"  {library}0: AMD Radeon RX 6600 (8176 MiB, 8000 MiB free)" if fits else "  (none)")
    sys.exit(0)
if "-m" not in sys.argv:
    print("system_info: n_threads = 2 | CPU : SSE3 = 1 |", flush=True)


class Api(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = b'{"content": "because of Rayleigh"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_words: object) -> None:
        pass


print(f"load_tensors: offloaded {3 if fits and '999' in sys.argv else 0}/3 layers to GPU", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Api).serve_forever()
