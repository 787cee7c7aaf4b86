"""An imitation of Ollama's server, honest about what it is: see docs/ollama-imitation.md.

It imitates the program `ollama` (its discovery, log and API, after Ollama's source as looked up, not after gpubuild's
rules), and runs the real llama-server with the real loading of ggml backends. Standard library only.

Usage: ollama.py serve | --version
"""

from __future__ import annotations

import fnmatch
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

PROGRAM = Path(__file__).resolve()
VERSION_FILE = "imitation-version"
PATTERNS = ["libggml-cuda*", "libggml-hip*", "libggml-vulkan*"]
PREFERRED = {"CUDA": 0, "ROCm": 0, "Vulkan": 1}


def libraries() -> Path:
    return PROGRAM.parent.parent / "lib" / "ollama"


def version() -> str:
    return (PROGRAM.parent / VERSION_FILE).read_text().strip()


def say(level: str, message: str, **fields: object) -> None:
    words = [f"{name}={json.dumps(str(value)) if ' ' in str(value) else value}" for name, value in fields.items()]
    print(
        f"time={time.strftime('%Y-%m-%dT%H:%M:%S')} level={level} msg={json.dumps(message, ensure_ascii=False)}",
        *words,
        flush=True,
    )


def truth(name: str, default: bool) -> bool:
    value = os.environ.get(name, "")
    return default if not value else value not in {"0", "f", "F", "false", "FALSE", "False"}


def environment(folder: Path | None) -> dict[str, str]:
    """The variables that Ollama gives llama-server for a runner folder."""
    paths = [str(libraries()), *([str(folder)] if folder else []), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    env = {**os.environ, "LD_LIBRARY_PATH": ":".join(paths)}
    for pattern in PATTERNS if folder else []:
        found = sorted(fnmatch.filter(os.listdir(folder), pattern))
        if found:
            env["GGML_BACKEND_PATH"] = str(folder / found[0])
            break
    return env


def ask_llama_server(folder: Path) -> str:
    """Start it without a model until it says its system_info, then let it list the devices."""
    server, env = str(libraries() / "llama-server"), environment(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    argv = [server, "--port", port, "--host", "127.0.0.1", "--offline", "-lv", "5"]
    lines: list[str] = []
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        killer = threading.Timer(30, running.kill)
        killer.start()
        for line in running.stdout or ():
            lines.append(line)
            if "system_info:" in line:
                break
        killer.cancel()
        running.kill()
    listed = subprocess.run(
        [server, "--list-devices", "--offline", "-lv", "5"], env=env, capture_output=True, text=True, timeout=60
    )
    return listed.stdout + listed.stderr + "\n" + "".join(lines)


def devices_of(folder: Path) -> list[dict[str, object]]:
    """What Ollama's parser makes of it, after its filters for CUDA's ARCHS and rocBLAS's tables."""
    text = ask_llama_server(folder)
    gfx = dict(re.findall(r"Device\s+(\d+):.*,\s+(gfx[0-9a-f]+)[\s:(]", text))
    capability = dict(re.findall(r"Device\s+(\d+):.*compute capability\s+(\d+\.\d+)", text))
    uma = dict(re.findall(r"ggml_vulkan:\s+(\d+)\s+=.*\|\s+uma:\s+([01])\s+\|", text))
    archs = re.search(r"CUDA\s*:\s*ARCHS\s*=\s*([\d,]+)", text)
    numbers = archs[1].split(",") if archs else []
    pattern = "TensileLibrary_lazy_gfx*.dat"
    tables = {path.stem.removeprefix("TensileLibrary_lazy_") for path in folder.glob(f"rocblas/library/{pattern}")}
    found, index = [], -1
    for name, description, total, free in re.findall(
        r"^\s+(\S+):\s+(.+?)\s+\((\d+)\s+MiB,\s+(\d+)\s+MiB\s+free\)", text, re.MULTILINE
    ):
        index += 1
        library = next((one for one in ("CUDA", "ROCm", "Vulkan") if one.lower() in name.lower()), description)
        compute = gfx.get(str(index), "") if library == "ROCm" else capability.get(str(index), "")
        one = {"id": str(index), "library": library, "name": name, "description": description, "compute": compute,
               "total": int(total), "free": int(free), "folder": folder,
               "integrated": uma.get(str(index)) == "1"}  # fmt: skip
        if not int(total):
            continue
        number = compute.replace(".", "") + "0"
        if library == "CUDA" and compute and numbers and number not in numbers:
            say(
                "INFO",
                "skipping CUDA device — compute capability not in compiled architectures",
                device=description,
                cc=number,
                archs=",".join(numbers),
            )
            continue
        override = os.environ.get("HSA_OVERRIDE_GFX_VERSION", "")
        if library == "ROCm" and override:
            major, minor, stepping = map(int, override.split("."))
            compute = one["compute"] = f"gfx{major}{minor:x}{stepping:x}"
        if library == "ROCm" and tables and compute and compute not in tables:
            say(
                "WARN",
                "dropping ROCm device — no rocblas support for gfx target",
                device=name,
                gfx_target=compute,
                supported=" ".join(sorted(tables)),
            )
            continue
        found.append(one)
    return found


def discover() -> list[dict[str, object]]:
    say("INFO", "discovering available GPUs...")
    wanted = os.environ.get("OLLAMA_LLM_LIBRARY", "").lower()
    folders = sorted(
        {path.parent for path in libraries().glob("*/*ggml-*")}
        | {path.parent for path in libraries().glob(".*/*ggml-*")}
    )
    found: list[dict[str, object]] = []
    for folder in folders:
        if wanted and folder.name != wanted:
            continue
        if "cuda_jetpack" in folder.name or ("vulkan" in folder.name and not truth("OLLAMA_VULKAN", True)):
            continue
        found += devices_of(folder)
    kept = []
    for one in found:
        if one["integrated"] and not truth("OLLAMA_IGPU_ENABLE", one["library"] == "CUDA"):
            say(
                "INFO",
                "dropping integrated GPU; to enable, set OLLAMA_IGPU_ENABLE=1",
                id=one["id"],
                library=one["library"],
                description=one["description"],
            )
        else:
            kept.append(one)
    kept = without_overlap(kept)
    # One card, two libraries: CUDA and ROCm win over Vulkan. Ollama compares PCI ids; the imitation, descriptions.
    first: dict[object, dict[str, object]] = {}
    for one in sorted(kept, key=lambda one: PREFERRED.get(str(one["library"]), 1)):
        first.setdefault(one["description"], one)
    for one in first.values():
        say("INFO", "inference compute", id=one["id"], library=one["library"], compute=one["compute"] or "0.0",
            name=one["name"], description=one["description"], libdirs=f"ollama,{Path(str(one['folder'])).name}",
            type="iGPU" if one["integrated"] else "discrete", total=f"{one['total']} MiB")  # fmt: skip
    if not first:
        say("INFO", "inference compute", id="cpu", library="cpu")
    return list(first.values())


def without_overlap(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Of several folders of one library, the highest that covers the same as all others; else the lowest."""
    kept = []
    for library in dict.fromkeys(one["library"] for one in found):
        mine = [one for one in found if one["library"] == library]
        covered: dict[str, set[object]] = {}
        for one in mine:
            covered.setdefault(str(one["folder"]), set()).add(one["id"])
        names = sorted(covered, reverse=True)
        differ = False
        for newest in names:
            differ = differ or any(covered[other] != covered[newest] for other in names)
            if not differ:
                break
        kept += [one for one in mine if str(one["folder"]) == newest or one["id"] not in covered[newest]]
    return kept


class Engine:
    """The one model that is loaded: a llama-server, and what lies on the GPU."""

    def __init__(self, devices: list[dict[str, object]]) -> None:
        self.devices, self.name, self.size, self.vram = devices, "", 0, 0
        self.process: subprocess.Popen[str] | None = None
        self.port = 0
        self.lines: list[str] = []

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def load(self, name: str) -> None:
        if self.name == name and self.process is not None and self.process.poll() is None:
            return
        self.stop()
        model = models()[name]
        device = self.devices[0] if self.devices else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        where = ["--device", str(device["name"]), "-ngl", "999"] if device else ["--device", "none", "-ngl", "0"]
        argv = [str(libraries() / "llama-server"), "-m", str(model), "--host", "127.0.0.1", "--port", str(self.port),
                "-c", "512", "-np", "1", "--offline", "-lv", "4", *where]  # fmt: skip
        env = environment(Path(str(device["folder"])) if device else None)
        self.lines = []
        self.process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()
        end = time.monotonic() + 120
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = "".join(self.lines[-5:])
                raise RuntimeError(f"llama runner process has terminated: {tail}")
            time.sleep(0.05)
        self.name, self.size = name, model.stat().st_size
        layers = re.findall(r"offloaded (\d+)/(\d+) layers to GPU", "".join(self.lines))
        self.vram = self.size * int(layers[-1][0]) // int(layers[-1][1]) if layers and device else 0

    def read(self) -> None:
        assert self.process is not None
        for line in self.process.stdout or ():
            self.lines.append(line)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def write(self, prompt: str, tokens: int) -> str:
        body = json.dumps({"prompt": prompt, "n_predict": tokens, "temperature": 0}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/completion", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=580) as answer:
            return str(json.load(answer)["content"])


def models() -> dict[str, Path]:
    """The imitation's own store: GGUF files by their names."""
    store = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama/models")
    return {f"{path.stem}:latest": path for path in sorted(store.glob("*.gguf"))}


class Api(http.server.BaseHTTPRequestHandler):
    engine: Engine

    def answer(self, value: object, status: int = 200) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        loaded = (
            [{"name": self.engine.name, "size": self.engine.size, "size_vram": self.engine.vram}]
            if self.engine.name
            else []
        )
        local = [{"name": name, "size": path.stat().st_size} for name, path in models().items()]
        pages = {"/api/version": {"version": version()}, "/api/ps": {"models": loaded}, "/api/tags": {"models": local}}
        self.answer(pages.get(self.path, {"error": "not found"}), 200 if self.path in pages else 404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["model"] if ":" in asked["model"] else f"{asked['model']}:latest"
        try:
            self.engine.load(name)
            text = self.engine.write(asked["prompt"], asked.get("options", {}).get("num_predict", 16))
        except (KeyError, OSError, RuntimeError) as error:
            self.answer({"error": f"{type(error).__name__}: {error}"}, 500)
            return
        self.answer({"model": name, "response": text, "done": True})

    def log_message(self, *_words: object) -> None:
        pass


def serve() -> None:
    host, _, port = os.environ.get("OLLAMA_HOST", "127.0.0.1:11434").rpartition(":")
    if os.environ.get("IMITATION_REFUSES"):
        sys.exit(1)
    say("INFO", f"Listening on {host}:{port} (version {version()})")
    Api.engine = Engine(discover())
    with http.server.ThreadingHTTPServer((host or "127.0.0.1", int(port)), Api) as server:
        try:
            server.serve_forever()
        finally:
            Api.engine.stop()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
    elif sys.argv[1:] == ["--version"]:
        print("Warning: could not connect to a running Ollama instance")
        print(f"Warning: client version is {version()}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
