"""The road of ``gpubuild ollama`` on an imitated installation: a user's commands, and what is seen at each step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from installation import Imitation, free_port

from buildtool.deploy.disk import entries

ROOT = Path(__file__).parents[2]


def unpacked(wheel: Path, place: Path) -> Path:
    """Unpack a runtime wheel; return the folder of its programs and libraries."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return next(place.glob("*/lib"))


class Road:
    """One walk: from the installation as it is, through changes, back to exactly what it was.

    Args:
        made: the installation; a model is put into its store.
        env: the environment of every command.
        model: the model's file; without one, a tiny model with random weights is written.
    """

    def __init__(self, made: Imitation, env: Mapping[str, str], model: Path | None = None) -> None:
        self.made, self.env = made, {**env, "PYTHONPATH": str(ROOT)}
        self.model = made.models / (model.name if model is not None else "tiny.gguf")
        if model is not None:
            shutil.copy(model, self.model)
        else:
            writer = str(ROOT / "buildtool/verify/inside/tiny_model.py")
            subprocess.run([sys.executable, writer, str(self.model)], check=True)
        self.places = (made.prefix, made.unit.parent)
        self.before = [list(entries(place)) for place in self.places]

    def gpubuild(self, *words: str) -> dict[str, object]:
        """Run a command of ``gpubuild ollama``; one that fails ends the walk with what it said."""
        argv = [sys.executable, "-c", "from buildtool.cli.main import main; main()", "ollama", *words, "--json"]
        started = time.monotonic()
        argv += ["--prefix", str(self.made.prefix)]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True)
        print(f"== gpubuild ollama {' '.join(words)}: exit code {done.returncode}, {time.monotonic() - started:.1f} s")
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def start(self) -> None:
        """Start the server and print what its discovery says."""
        self.made.systemctl("restart", "ollama.service")
        while "inference compute" not in self.made.log():
            time.sleep(0.5)
        print("before:", *self.discovery(), sep="\n  ")

    def discovery(self) -> list[str]:
        """What the last discovery said of devices."""
        last = self.made.log().rpartition("discovering available GPUs")[2]
        marks = ("inference compute", "dropping", "skipping")
        return [line.partition("msg=")[2] for line in last.splitlines() if any(mark in line for mark in marks)]

    def left_out(self, module: Path) -> None:
        """Require that a card whose code a CUDA module lacks is left out: by discovery, `status`, and CUDA itself.

        The device is the machine's own, and nothing imitates llama-server.
        """
        assert any("not in compiled architectures" in line for line in self.discovery()), "discovery does not skip it"
        installed: dict[str, list[dict[str, str]]] = self.gpubuild("status")["installations"][0]  # type: ignore[index]
        (verdict,) = installed["verdicts"]
        print(f"{verdict['device']}: {verdict['state']}: {verdict['reason']}")
        assert verdict["state"] == "dropped", "status does not say that it is left out"
        assert "is not in ARCHS" in verdict["reason"], "status gives another reason"
        folders = f"{self.made.libraries}:{module.parent}"
        env = {**self.env, "GGML_BACKEND_PATH": str(module), "LD_LIBRARY_PATH": folders}
        argv = [str(self.made.libraries / "llama-server"), "-m", str(self.model), "--offline"]
        argv += ["--host", "127.0.0.1", "--port", str(free_port()), "-c", "512", "-ngl", "999", "--device", "CUDA0"]
        forced = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
        said = forced.stdout + forced.stderr
        told = next((line.strip() for line in said.splitlines() if "no kernel image" in line), "")
        print(f"llama-server made to use it: exit code {forced.returncode}: {told or said[-2000:]}")
        assert forced.returncode, "it did not end"
        assert told, "it did not end for lack of code"

    def shown(self, outcome: dict[str, object]) -> None:
        """Print what a change came to, and stop unless tokens came from the device."""
        notes = [f"note: {note}" for note in outcome["notes"]]  # type: ignore[attr-defined]
        print(*outcome["proof"], *notes, sep="\n")  # type: ignore[misc]
        print("after:", *self.discovery(), sep="\n  ")
        assert outcome["proved"] is True, "no tokens from the device"

    def restore(self) -> None:
        """Take everything out, and compare with what was there before."""
        self.gpubuild("restore", "--now")
        now = [list(entries(place)) for place in self.places]
        changed = [sorted({*old} ^ {*new}) for old, new in zip(self.before, now, strict=True)]
        assert now == self.before, f"not as it was: {changed}"
        print("restored bit for bit")
