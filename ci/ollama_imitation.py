"""The road of ``gpubuild ollama`` on an imitated Ollama with the real llama-server: left out, enabled, used, restored.

Usage: python ci/ollama_imitation.py RUNTIME.whl BACKEND.whl --target sm_90 [--vendor DIR] [--env NAME=VALUE]

RUNTIME.whl gives llama-server and ggml. BACKEND.whl is what `enable --from` takes. --vendor is a folder with NVIDIA's
wheels (nvidia_*.whl) or libraries: they become the imitation's own cuda_v13, which has no module, so that Ollama
computes on the processor first. With --target vulkan the card is whatever Vulkan lists (lavapipe without a GPU).
What is imitated: docs/ollama-imitation.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/imitation"))

from installation import Imitation  # noqa: E402 - found by the line above

from buildtool.deploy.disk import entries  # noqa: E402


def unpacked(wheel: Path, place: Path) -> Path:
    """Unpack a runtime wheel; return the folder of its programs and libraries."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return next(place.glob("*/lib"))


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
    parser.add_argument("backend", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--vendor", type=Path)
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
    writer = str(ROOT / "buildtool/verify/inside/tiny_model.py")
    subprocess.run([sys.executable, writer, str(made.models / "tiny.gguf")], check=True)
    env = {**made.environ, **dict(word.split("=", 1) for word in wish.env), "PYTHONPATH": str(ROOT)}
    card = "gfx1032" if wish.target == "vulkan" else wish.target
    os.environ.update(env)

    def gpubuild(*words: str) -> dict[str, object]:
        argv = [sys.executable, "-c", "from buildtool.cli.main import main; main()", "ollama", *words, "--json"]
        started = time.monotonic()
        done = subprocess.run(
            [*argv, "--prefix", str(made.prefix)], env=env, capture_output=True, text=True, check=False
        )
        print(f"== gpubuild ollama {' '.join(words)}: exit code {done.returncode}, {time.monotonic() - started:.1f} s")
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    places = (made.prefix, made.unit.parent)
    before = [list(entries(place)) for place in places]
    made.systemctl("restart", "ollama.service")
    try:
        while "inference compute" not in made.log():
            time.sleep(0.5)
        print("before:", made.log().splitlines()[-1])
        method = "vulkan" if wish.target == "vulkan" else "compile"
        words = ("enable", "--for-device", card, "--method", method, "--from", str(wish.backend), "--yes", "--now")
        outcome = gpubuild(*words)
        print(*outcome["proof"], sep="\n")  # type: ignore[misc]
        print("after:", [line for line in made.log().splitlines() if "inference compute" in line][-1])
        assert outcome["proved"] is True, "no tokens on the GPU"  # noqa: S101 - the point of the script
        gpubuild("restore", "--now")
        assert [list(entries(place)) for place in places] == before, "not as it was"  # noqa: S101
        print("restored bit for bit")
    finally:
        made.systemctl("stop", "ollama.service")


if __name__ == "__main__":
    main()
