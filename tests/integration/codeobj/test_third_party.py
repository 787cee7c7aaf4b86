"""`inspect` says of every binary on the list (`third_party.toml`) what the vendors' tools say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from codeobj_oracles import llvm
from third_party import Package, compared, line, packages

pytestmark = [pytest.mark.network, pytest.mark.slow]
MOST_LEFT_OUT = 2  # files of a package whose chips the newest cuobjdump has dropped


def test_the_list_is_what_it_promises() -> None:
    rows = packages()
    assert sum(len(row.files) for row in rows) >= 25
    assert len({row.name for row in rows if row.platform == "win_amd64"}) >= 4
    assert all(len(row.sha256) == 64 and row.files for row in rows)


@pytest.mark.skipif(llvm("clang-offload-bundler") is None or llvm("llvm-readelf") is None, reason="no LLVM on PATH")
@pytest.mark.parametrize("package", packages(), ids=lambda row: f"{row.name}-{row.platform}")
def test_no_difference(package: Package, cuobjdump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUOBJDUMP", os.environ.get("CUOBJDUMP", str(cuobjdump)))
    try:
        rows = list(compared(package, tmp_path))
    except LookupError as error:
        pytest.skip(str(error))
    for row in rows:
        print(line(row))  # noqa: T201 - the table of docs/inspect-oracles.md
    assert [(row.file, row.wrong) for row in rows if row.wrong] == []
    assert sum(row.refused for row in rows) <= MOST_LEFT_OUT
