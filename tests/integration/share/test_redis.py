"""The real sccache, the real Redis: a second machine without any cache, a dead, a frozen and a lying server."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildtool.build.counters import statistics
from buildtool.build.launcher import Launcher
from buildtool.build.model import CacheStats
from buildtool.build.shared import started
from buildtool.share import Tally

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]
KEY = "cd" * 32
FILES = 4


@pytest.fixture
def redis() -> Iterator[tuple[int, int]]:
    """A Redis of the test's own: its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    running = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield port, running.pid
    running.send_signal(signal.SIGCONT)
    running.terminate()
    running.wait()


def machine(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[CacheStats, Tally, list[str], float]:
    """Compile a few files on a machine whose own cache is empty; return what happened, and the objects' hashes."""
    place.mkdir()
    monkeypatch.setenv("GPUBUILD_CACHE", str(place / "records"))
    program = str(Path(sys.executable).with_name("sccache"))
    env = {"SCCACHE_DIR": str(place / "c"), "SCCACHE_SERVER_UDS": str(place / "s"), "SCCACHE_BASEDIRS": str(place)}
    launcher = Launcher(name="sccache", program=program, env=env)
    hashes = []
    began = time.monotonic()
    with started(launcher, lambda _text: None) as share:
        for number in range(FILES):
            text = f'#include <string>\nstd::string f() {{ return "{number}"; }}\n'
            (place / f"{number}.cpp").write_text(text)
            argv = [program, "g++", "-O2", "-c", f"{number}.cpp", "-o", f"{number}.o"]
            subprocess.run(argv, cwd=place, env={**os.environ, **env}, check=True)
            hashes.append(hashlib.sha256((place / f"{number}.o").read_bytes()).hexdigest())
        counted = statistics(launcher)
    assert counted is not None
    assert share.relay is not None
    return counted, share.relay.tally, hashes, time.monotonic() - began


@pytest.fixture
def where(redis: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    pytest.importorskip("opendal")
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE", f"redis://127.0.0.1:{redis[0]}")
    monkeypatch.setenv("GPUBUILD_REMOTE_CACHE_KEY", KEY)
    return redis


def test_a_second_machine_compiles_nothing(
    where: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert where
    cold, sent, hashes, _ = machine(tmp_path / "first", monkeypatch)
    assert (cold.hits, cold.misses, sent.sent) == (0, FILES, FILES)
    warm, got, again, _ = machine(tmp_path / "second", monkeypatch)
    assert (warm.hits, warm.misses, got.hits) == (FILES, 0, FILES)
    assert again == hashes


def test_a_server_that_dies_or_freezes_costs_little_and_breaks_nothing(
    where: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, hashes, _ = machine(tmp_path / "first", monkeypatch)
    os.kill(where[1], signal.SIGSTOP)
    counted, tally, frozen, _ = machine(tmp_path / "frozen", monkeypatch)
    assert (counted.misses, tally.hits, frozen) == (FILES, 0, hashes)
    assert 0 < tally.failures <= 8
    os.kill(where[1], signal.SIGKILL)
    counted, tally, dead, _ = machine(tmp_path / "dead", monkeypatch)
    assert (counted.misses, tally.hits, dead) == (FILES, 0, hashes)


def test_a_server_that_lies_ships_nothing(
    where: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, hashes, _ = machine(tmp_path / "first", monkeypatch)
    cli = ["redis-cli", "-p", str(where[0])]
    names = subprocess.run([*cli, "keys", "*"], capture_output=True, text=True, check=True).stdout.split()
    objects = sorted(name for name in names if "sccache_check" not in name)
    assert len(objects) == FILES
    subprocess.run([*cli, "rename", objects[0], "kept"], check=True, capture_output=True)
    for one, other in zip(objects, [*objects[1:], "kept"], strict=True):  # each name gives another's object
        subprocess.run([*cli, "rename", other, one], check=True, capture_output=True)
    counted, tally, again, _ = machine(tmp_path / "second", monkeypatch)
    assert (counted.hits, counted.misses, tally.hits) == (0, FILES, 0)
    assert tally.refused >= FILES
    assert again == hashes
