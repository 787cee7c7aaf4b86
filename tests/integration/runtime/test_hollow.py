"""A library whose precompiled headers were cut out, under the machine's real loader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.runtime.hollow import hollow
from buildtool.runtime.rpath import look_beside

pytestmark = pytest.mark.toolchain

WORDS = 400_000
SOURCE = f"""
struct Header {{ char magic[4]; unsigned enter, words; unsigned body[{WORDS}]; unsigned length; }};
extern "C" Header first = {{ {{'C', 'P', 'C', 'H'}}, 1 | 8 << 2 | 5 << 10, {WORDS}, {{7, 7, 7}}, 12 + 4 * {WORDS} }};
extern "C" Header second = {{ {{'C', 'P', 'C', 'H'}}, 1 | 8 << 2 | 5 << 10, {WORDS}, {{9, 9, 9}}, 12 + 4 * {WORDS} }};
extern "C" int kept = 41, zero = 0;
static int *pointer = &kept;
extern "C" int work() {{ return ++*pointer + zero; }}
extern "C" unsigned inside(int n) {{ return first.body[n] + second.body[n]; }}
extern "C" unsigned lengths() {{ return first.length + second.length; }}
"""
CALL = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
print(library.work(), library.work(), library.inside(200_000), library.lengths())
"""


def test_it_loads_and_works_and_shows_zeros_where_they_were(tmp_path: Path) -> None:
    (tmp_path / "hip.cpp").write_text(SOURCE)
    library = tmp_path / "lib ä.so"
    link = ["g++", "-shared", "-fPIC", "-O1", "-o", library]
    subprocess.run([*link, tmp_path / "hip.cpp", "-lm"], check=True)
    look_beside(library)
    subprocess.run([sys.executable, "-c", CALL, library], check=True, capture_output=True)
    size = library.stat().st_size
    record = hollow(library)
    assert record is not None, "patchelf leaves room for program headers when it adds a RUNPATH"
    assert size - library.stat().st_size == sum(part.bytes for part in record.gone) > 2 * 4 * WORDS - 4 * 4096
    done = subprocess.run([sys.executable, "-c", CALL, library], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["42", "43", "0", str(2 * (12 + 4 * WORDS))], done.stderr
    said = subprocess.run(["readelf", "-lSW", library], capture_output=True, text=True, check=True)
    assert "Warning" not in said.stderr
