"""Puts an imitated Ollama together: the layout of 0.30, a service, a model, and the real llama-server inside."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
UNIT = "ollama.service"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def program(place: Path, script: Path) -> None:
    """A program that runs one of the imitations with this Python."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(script, place)
    text = place.read_text("utf-8")
    place.write_text(f"#!{sys.executable}\n{text}", "utf-8")
    place.chmod(0o755)


class Imitation:
    """An installation below a home of its own.

    Args:
        home: an empty folder: HOME of everything that runs here.
        engine: folder with llama-server and its libraries; None for an installation that cannot run models.
        prefix: where it is installed, relative to `home`.
    """

    def __init__(
        self, home: Path, engine: Path | None = None, *, prefix: str = "ollama", version: str = "0.35.0"
    ) -> None:
        self.home, self.prefix = home, home / prefix
        self.libraries = self.prefix / "lib/ollama"
        self.port = free_port()
        self.unit = home / ".config/systemd/user" / UNIT
        self.models = home / ".ollama/models"
        self.models.mkdir(parents=True)
        program(self.prefix / "bin/ollama", HERE / "ollama.py")
        (self.prefix / "bin/imitation-version").write_text(version)
        self.libraries.mkdir(parents=True)
        for path in sorted(engine.iterdir()) if engine is not None else ():
            if path.name in {"llama-server", "llama-quantize"} or path.name.startswith("lib"):
                shutil.copy(path, self.libraries / path.name)
                (self.libraries / path.name).chmod(0o755)
        tools = home / "bin"
        program(tools / "systemctl", HERE / "systemctl.py")
        program(tools / "journalctl", HERE / "journalctl.py")
        self.unit.parent.mkdir(parents=True)
        self.unit.write_text(
            f"[Unit]\nDescription=Ollama (imitation)\n\n[Service]\nExecStart={self.prefix}/bin/ollama serve\n"
            f'Environment="OLLAMA_HOST=127.0.0.1:{self.port}"\nEnvironment="OLLAMA_MODELS={self.models}"\nRestart=always\n'
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which gpubuild, systemctl and the server run."""
        path = f"{self.home / 'bin'}:{os.environ['PATH']}"
        base = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA_", "XDG_", "HSA_"))}
        return {**base, "HOME": str(self.home), "PATH": path, "GPUBUILD_CACHE": str(self.home / "cache")}

    def systemctl(self, *words: str) -> str:
        argv = [str(self.home / "bin/systemctl"), "--user", *words]
        return subprocess.run(argv, env=self.environ, check=True, capture_output=True, text=True).stdout

    def log(self) -> str:
        place = self.home / "imitated-systemd" / f"{UNIT}.log"
        return place.read_text() if place.exists() else ""

    def refuse_to_start(self, *, yes: bool) -> None:
        mark = self.home / "imitated-systemd/refuse"
        mark.parent.mkdir(exist_ok=True)
        mark.write_text("") if yes else mark.unlink(missing_ok=True)

    def upgrade(self, version: str) -> None:
        """What Ollama's installer does to the libraries: takes all of them away and unpacks new ones."""
        kept = self.home / "kept"
        shutil.copytree(self.libraries, kept, symlinks=True, ignore=shutil.ignore_patterns("*_gpubuild*"))
        shutil.rmtree(self.libraries)
        kept.rename(self.libraries)
        (self.prefix / "bin/imitation-version").write_text(version)
