"""The table of CUDA toolkits against what an installed toolkit says about itself."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildtool.compat import tables

pytestmark = pytest.mark.toolchain

ROOTS = [Path(root) for root in (os.environ.get("CUDA_PATH", ""), "/usr/local/cuda") if root]
READER = Path(__file__).parents[3] / "tools" / "update_cuda_toolkits.py"


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


@pytest.fixture(scope="module")
def facts(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("update_cuda_toolkits", READER)
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    headers = root / "include" / "crt"
    files = (headers / "host_config.h", headers / "math_functions.h")
    return reader.read_facts(root / "bin" / "ptxas", *files, root / "bin" / "nvcc")


def test_the_installed_toolkit_says_what_the_table_says(row: tables.CudaToolkit, facts: Any) -> None:
    assert set(facts.targets) == set(row.targets)
    assert (facts.gcc, facts.clang, facts.msc) == (row.gcc[1], row.clang[1], row.msc)
    assert (facts.ptx, facts.cxx) == (row.ptx, row.cxx)


def test_its_headers_stand_the_c_library_of_the_table_or_a_newer_one(row: tables.CudaToolkit, facts: Any) -> None:
    """A distribution may have repaired them, so they may stand more, never less."""
    order = ["2.40", "2.41", ""]
    assert order.index(facts.glibc_max) >= order.index(row.glibc_max)


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
