"""A compiler cache is used only after it was seen to work."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from compat_machines import debian
from hypothesis import given
from hypothesis import strategies as st

from buildtool.build import launcher as room
from buildtool.build.counters import difference, parse_ccache, parse_sccache
from buildtool.build.launcher import choose, proved_launcher
from buildtool.build.model import CacheStats
from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.source.model import SourceTree
from buildtool.toolchain.model import Toolchain

SCCACHE = '{"stats": {"cache_hits": {"counts": {"CUBIN": 3, "PTX": 2}}, "cache_misses": {"counts": {"CUDA": 1}}}}'
HOST = Toolchain(
    kind="host", version="", root=None, provider="host", cmake_options={}, env={}, cmake="cmake", ninja="ninja"
)  # fmt: skip


def script(path: Path, body: str) -> Path:
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_statistics_are_read() -> None:
    stats = parse_sccache(SCCACHE)
    assert stats is not None
    assert (stats.hits, stats.misses) == (5, 1)
    assert stats.detail == {"hits CUBIN": 3, "hits PTX": 2, "misses CUDA": 1}
    ccache = parse_ccache("direct_cache_hit\t4\npreprocessed_cache_hit\t1\ncache_miss\t2\nx y\n")
    assert ccache is not None
    assert (ccache.hits, ccache.misses) == (5, 2)


@given(st.text())
def test_statistics_of_a_strange_launcher_are_none_or_numbers(text: str) -> None:
    for parse in (parse_sccache, parse_ccache):
        stats = parse(text)
        assert stats is None or stats.hits >= 0


def test_the_difference_of_two_readings_is_one_build() -> None:
    before = CacheStats(launcher="sccache", hits=5, misses=1, detail={"hits PTX": 5, "misses PTX": 1})
    after = CacheStats(launcher="sccache", hits=9, misses=1, detail={"hits PTX": 9, "misses PTX": 1})
    found = difference(before, after)
    assert found is not None
    assert (found.hits, found.misses, found.detail) == (4, 0, {"hits PTX": 4})
    assert difference(before, None) is None
    assert difference(None, after) == after


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        room, "_find", lambda name, _toolchain: str(tmp_path / name) if (tmp_path / name).exists() else None
    )
    compiler = 'while [ "$1" != "-o" ]; do shift; done\necho object > "$2"\n'
    script(tmp_path / "cxx", compiler)
    return tmp_path


def attempt(places: Path) -> tuple[str | None, tuple[str, ...]]:
    found = choose(
        ("sccache", "ccache"),
        HOST,
        compilers={"CXX": str(places / "cxx")},
        architectures="",
        cache_dir=places / "c",
    )
    return (found.launcher.name if found.launcher else None), found.rejected


@pytest.mark.skipif(os.name != "posix", reason="the imitation launchers are shell scripts")
def test_the_first_launcher_that_compiles_is_taken(places: Path) -> None:
    assert attempt(places) == (None, ("sccache: not installed", "ccache: not installed"))
    script(places / "ccache", 'exec "$@"\n')
    assert attempt(places)[0] == "ccache"
    script(places / "sccache", 'if [ "$1" = "--start-server" ]; then exit 0; fi\nexec "$@"\n')
    assert attempt(places)[0] == "sccache"


@pytest.mark.skipif(os.name != "posix", reason="the imitation launchers are shell scripts")
@pytest.mark.parametrize(
    "body", ["echo 'fatbinary fatal: Could not open input file' >&2; exit 1\n", "exit 0\n"], ids=["fails", "no object"]
)
def test_a_launcher_that_breaks_the_compiler_is_left_out_with_its_reason(places: Path, body: str) -> None:
    script(places / "sccache", 'if [ "$1" = "--start-server" ]; then exit 0; fi\n' + body)
    script(places / "ccache", 'exec "$@"\n')
    name, rejected = attempt(places)
    assert name == "ccache"
    assert rejected[0].startswith("sccache: the trial compile failed")


@pytest.mark.skipif(os.name != "posix", reason="the imitation launchers are shell scripts")
@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("exec sleep 60\n", False),
        ("kill -KILL $$\n", False),
        ("echo 'fatal error: No space left on device'; exit 1\n", False),
        ("echo 'error: unknown option'; exit 1\n", True),
    ],
    ids=["hangs", "killed", "full disk", "does not work"],
)
def test_a_trial_that_came_to_no_end_is_tried_again(
    places: Path, monkeypatch: pytest.MonkeyPatch, body: str, *, kept: bool
) -> None:
    monkeypatch.setattr(room, "TRIAL_TIMEOUT_S", 1.0)
    plan = resolve(Request(backend="cpu"), debian())
    plan = msgspec.structs.replace(
        plan, host_compiler=msgspec.structs.replace(plan.host_compiler, cxx=str(places / "cxx"))
    )
    source, cache = SourceTree(path=str(places), digest="0"), places / "cache"
    program = script(places / "sccache", 'if [ "$1" = "--start-server" ]; then exit 0; fi\n' + body)
    assert proved_launcher(plan, HOST, source, cache).launcher is None
    before = program.stat()
    script(program, 'if [ "$1" = "--start-server" ]; then exit 0; fi\nexec "$@"\n')
    script(program, program.read_text().removeprefix("#!/bin/sh\n").ljust(before.st_size - len("#!/bin/sh\n"), "#"))
    os.utime(program, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same program, as far as its file tells
    again = proved_launcher(plan, HOST, source, cache)
    assert (again.launcher is None) is kept


def test_a_long_path_still_gets_a_socket_that_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    assert len(os.fsencode(room._socket(deep))) <= room.UNIX_SOCKET_LIMIT
    assert room._socket(Path("/c/sccache")) == Path("/c/sccache/server.sock")
