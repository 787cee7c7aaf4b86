"""The road of ``gpubuild ollama`` on an imitated Ollama with the real llama-server: left out, enabled, used, restored.

Usage: python ci/ollama_imitation.py RUNTIME.whl [BACKEND.whl] --target sm_90 [--source NAME] [--upgrade] [--vendor DIR]
       [--foreign MODULE] [--model FILE.gguf] [--env NAME=VALUE]

RUNTIME.whl gives llama-server and ggml. BACKEND.whl is what `enable --from` takes; without it `enable --method compile`
(or vulkan) builds one, from the source that this llama-server's version leads to, or from --source.
Such a build uses your own store and cache. --upgrade lets Ollama's installer wipe the folder afterwards; `reapply` has
to put it back. --vendor is a folder with NVIDIA's wheels (nvidia_*.whl) or libraries: they become the imitation's own
cuda_v13, which has no module, so that Ollama computes on the processor first. --foreign is a CUDA module without code
for the card, for that folder: discovery has to skip the card, `status` to say so of the card that is in the machine,
and llama-server, made to use the module all the same, to end with CUDA's error. --model is what answers (left out: a
tiny model of random weights, which the packages gguf and numpy write). With --target vulkan the card is whatever Vulkan
lists (lavapipe without a GPU, which ggml takes with --env GGML_VK_VISIBLE_DEVICES=0 only).
What is imitated: docs/ollama-imitation.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/imitation"))

from installation import Imitation
from road import Road, unpacked

from buildtool.store.paths import cache_root, store_root


def vendor(place: Path, folder: Path) -> None:
    """Put NVIDIA's libraries into a runner folder that has no module."""
    folder.mkdir()
    for wheel in sorted(place.glob("nvidia_*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in fnmatch.filter(archive.namelist(), "*/lib/lib*.so*"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    for path in sorted(place.rglob("lib*.so*")):
        (folder / path.name).symlink_to(path.resolve())


def main() -> None:
    """Go the road, print what is seen at each step, and stop at the first thing that is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", type=Path)
    parser.add_argument("backend", type=Path, nargs="?")
    parser.add_argument("--target", required=True)
    parser.add_argument("--source")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--vendor", type=Path)
    parser.add_argument("--foreign", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--env", action="append", default=[])
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ollama-imitation-") as scratch:
        walk(wish, Path(scratch))


def walk(wish: argparse.Namespace, scratch: Path) -> None:
    """Make the installation, enable, look, restore."""
    (scratch / "home").mkdir()
    made = Imitation(scratch / "home", unpacked(wish.runtime, scratch / "runtime"))
    if wish.vendor is not None:
        vendor(wish.vendor, made.libraries / "cuda_v13")
    if wish.foreign is not None:
        (made.libraries / "cuda_v13").mkdir(exist_ok=True)
        shutil.copy(wish.foreign, made.libraries / "cuda_v13/libggml-cuda.so")
    env = {**made.environ, "GPUBUILD_STORE": str(store_root())}
    env |= {"GPUBUILD_CACHE": str(cache_root())} if wish.backend is None else {}
    env |= dict(word.split("=", 1) for word in wish.env)
    os.environ.update(env)
    road = Road(made, env, wish.model)
    card = "gfx1032" if wish.target == "vulkan" else wish.target
    method = "vulkan" if wish.target == "vulkan" else "compile"
    built = ("--from", str(wish.backend)) if wish.backend is not None else ()
    named = ("--source", wish.source) if wish.source else ()
    road.start()
    try:
        found = road.gpubuild("status", "--for-device", card)["installations"][0]["llama_cpp"]  # type: ignore[index]
        print(f"llama.cpp: {found['value']} ({found['source']})")
        if wish.foreign is not None:
            road.left_out(made.libraries / "cuda_v13/libggml-cuda.so")
        road.shown(road.gpubuild("enable", "--for-device", card, "--method", method, *built, *named, "--yes", "--now"))
        if wish.upgrade:
            version = (made.prefix / "bin/imitation-version").read_text("utf-8")
            made.upgrade("0.36.0")
            road.shown(road.gpubuild("reapply", "--now"))
            (made.prefix / "bin/imitation-version").write_text(version, "utf-8")  # for the comparison that follows
        road.restore()
    finally:
        made.systemctl("stop", "ollama.service")


if __name__ == "__main__":
    main()
