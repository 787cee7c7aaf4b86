"""The table of CUDA toolkits against what an installed toolkit says about itself."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from buildtool.compat import tables

pytestmark = pytest.mark.toolchain

ROOTS = [Path(root) for root in (os.environ.get("CUDA_PATH", ""), "/usr/local/cuda") if root]


@pytest.fixture(scope="module")
def root() -> Path:
    found = next((root for root in ROOTS if (root / "bin" / "ptxas").is_file()), None)
    if found is None:
        pytest.skip("no CUDA toolkit is installed: set CUDA_PATH to check the table against one")
    return found


@pytest.fixture(scope="module")
def row(root: Path) -> tables.CudaToolkit:
    version = subprocess.run([root / "bin" / "ptxas", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release (\d+\.\d+)", version)
    assert release is not None
    return next(row for row in tables.cuda_toolkits() if row.version == release[1])


def test_ptxas_knows_the_targets_of_the_table(root: Path, row: tables.CudaToolkit) -> None:
    text = subprocess.run([root / "bin" / "ptxas", "--help"], capture_output=True, text=True, check=True).stdout
    names = text.partition("--gpu-name")[2].partition("Default value")[0]
    assert set(re.findall(r"'(sm_\w+)'", names)) == set(row.targets)


def test_host_config_accepts_the_compilers_of_the_table(root: Path, row: tables.CudaToolkit) -> None:
    text = (root / "include" / "crt" / "host_config.h").read_text("utf-8")
    newest_gcc = re.search(r"#if __GNUC__ > (\d+)", text)
    newest_clang = re.search(r"__clang_major__ >= (\d+)", text)
    assert newest_gcc is not None
    assert newest_clang is not None
    assert (row.gcc[1], row.clang[1]) == (int(newest_gcc[1]), int(newest_clang[1]) - 1)


def test_ptx_of_the_table_is_what_ptxas_takes(root: Path, row: tables.CudaToolkit, tmp_path: Path) -> None:
    source = tmp_path / "empty.ptx"
    newest = max(name for name in row.targets if name[-1].isdigit())

    def accepted(version: str) -> bool:
        source.write_text(f".version {version}\n.target {newest}\n.address_size 64\n")
        command = [root / "bin" / "ptxas", "-arch", newest, source, "-o", tmp_path / "empty.cubin"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    major, minor = (int(part) for part in row.ptx.split("."))
    assert accepted(row.ptx)
    assert not accepted(f"{major}.{minor + 1}")
