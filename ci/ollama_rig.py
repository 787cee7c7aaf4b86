"""An RX 6600 without an RX 6600: real llama-server, real ggml HIP module, real rocBLAS, before an imitated HIP runtime.

Usage: python ci/ollama_rig.py RUNTIME.whl ROCM.whl [--target gfx1032]

Both wheels are gpubuild's, ROCM.whl with AMD's libraries inside and code for --target. The imitated Ollama has no AMD
folder first, and ROCM.whl is what `enable --from` takes.

What it shows: that Ollama's rules, ggml and rocBLAS find, load and launch everything for the card. What it does not:
results. The imitated runtime takes kernels by the real loader's rules and computes none, so the words of the model
mean nothing. llama-server runs inside the store's root filesystem with ROCm, because the wheels need its C library.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/imitation"))

from installation import Imitation
from road import Road, unpacked

from buildtool.shell import command_line, quote
from buildtool.store.entries import Store
from buildtool.store.paths import store_root
from buildtool.toolchain.rootfs.make import KIND
from buildtool.toolchain.sandbox import Sandbox, open_sandbox
from buildtool.verify.rig.compile import build
from buildtool.verify.rig.devices import configuration, device_for
from buildtool.verify.rig.libraries import find

REAL = "llama-server-itself"


def root_filesystem() -> Sandbox:
    """Open the newest root filesystem with ROCm in the store."""
    entries = [entry for entry in Store().entries(KIND) if entry.facts.get("kind") == "rocm"]
    if not entries:
        sys.exit('the store has no root filesystem with ROCm: gpubuild toolchain install "rocm==7.*"')
    return open_sandbox(max(entries, key=lambda entry: entry.created).path)


def imitate_the_card(made: Imitation, backend: Path, target: str) -> None:
    """Put a script in the place of llama-server that starts the real one inside, before the imitated runtime."""
    sandbox = root_filesystem()
    libraries = find(backend, [made.libraries])
    rig = build(libraries, sandbox)
    config = made.home / "devices.conf"
    config.write_text(configuration([device_for(target)], made.home / "record.jsonl", libraries.runtime_major), "utf-8")
    server = made.libraries / "llama-server"
    server.rename(made.libraries / REAL)
    words = sandbox.argv([], cwd=made.home, readable=[rig.runtime.parent], writable=[made.home])
    network = {"--unshare-all": ["--unshare-all", "--share-net"], "--unshare-net": []}
    inside = [word for one in words for word in network.get(one, [one])]
    server.write_text(
        "#!/bin/sh\nsearch=$LD_LIBRARY_PATH\nunset LD_LIBRARY_PATH  # it is for the program inside\n"
        f'exec {command_line(inside)} /usr/bin/env LD_LIBRARY_PATH={rig.runtime.parent}:"$search" '
        f'LD_PRELOAD={rig.runtime.name} GPUBUILD_RIG={quote(str(config))} {quote(str(made.libraries / REAL))} "$@"\n'
    )
    server.chmod(0o755)


def backend_folder(wheel: Path, place: Path) -> Path:
    """Unpack the backend wheel's own folder of libraries and kernels."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return next(path.parent for path in sorted(place.rglob("libggml-hip*.so*")))


def main() -> None:
    """Go the road, print what is seen at each step, and stop at the first thing that is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", type=Path)
    parser.add_argument("backend", type=Path)
    parser.add_argument("--target", default="gfx1032")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ollama-rig-") as scratch:
        walk(wish, Path(scratch))


def walk(wish: argparse.Namespace, scratch: Path) -> None:
    """Make the installation and the card, enable, look, restore."""
    (scratch / "home").mkdir()
    made = Imitation(scratch / "home", unpacked(wish.runtime, scratch / "runtime"))
    folder = backend_folder(wish.backend, scratch / "backend")
    imitate_the_card(made, folder, wish.target)
    env = {**made.environ, "GPUBUILD_STORE": str(store_root()), "OLLAMA_VULKAN": "0"}
    os.environ.update(env)
    road = Road(made, env)
    road.start()
    try:
        words = ("--for-device", wish.target, "--method", "compile", "--from", str(wish.backend), "--yes", "--now")
        road.shown(road.gpubuild("enable", *words))
        road.restore()
    finally:
        made.systemctl("stop", "ollama.service")


if __name__ == "__main__":
    main()
