"""No crash, no hang, no runaway result for damaged input; `codeobj_fuzz.py` looks for longer."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from codeobj_fuzz import check, damaged, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildtool.codeobj.output import Copy, Output, Put, checked
from buildtool.codeobj.view import DamagedError

SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_themselves(tmp_path: Path, name: str) -> None:
    outcome = check(name, SAMPLES[name], tmp_path)
    assert "done" in outcome
    assert "damaged" not in outcome


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_is_refused_or_survived(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SAMPLES)))
    content = damaged(SAMPLES[name], lambda n: data.draw(st.integers(0, n - 1)))
    assert check(name, content, tmp_path_factory.mktemp("fuzz"))


@settings(max_examples=40, deadline=None)
@given(
    head=st.sampled_from([b"\x7fELF\2\1\1", b"MZ", b"CCOB\3\0\1\0", b"__CLANG_OFFLOAD_BUNDLE__", b""]), rest=st.binary()
)
def test_noise_behind_a_magic(tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes) -> None:
    assert "done" not in check("x.so", (head + rest) or b"\0", tmp_path_factory.mktemp("noise"))


def test_a_section_that_reaches_beyond_the_file(tmp_path: Path) -> None:
    content = bytearray(SAMPLES["x.so"])
    (table,) = struct.unpack_from("<Q", content, 40)
    struct.pack_into("<Q", content, table + 2 * 64 + 32, 1 << 40)  # the size of .hip_fatbin
    assert check("x.so", bytes(content), tmp_path).startswith("damaged-binary")


@pytest.mark.parametrize("part", [Copy(0, 5, 20), Copy(15, 0, 10), Copy(-1, 0, 1), Copy(0, 0, -1), Put(18, b"abc")])
def test_a_part_that_lies_outside_is_refused(part: Copy | Put) -> None:
    whole = Output(20, (part,), ()) if isinstance(part, Copy) else Output(20, (), (part,))
    with pytest.raises(DamagedError):
        checked(whole, 20)
