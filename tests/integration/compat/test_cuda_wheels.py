"""The table of CUDA toolkits against NVIDIA's own wheels: every release that is published, with zero differences."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.compat import tables

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCRIPT = Path(__file__).parents[3] / "tools" / "update_cuda_toolkits.py"
TABLE = Path(tables.__file__).parent / "data" / "cuda_toolkits.toml"


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def test_no_published_toolkit_disagrees_with_the_table() -> None:
    done = tool("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    agreeing = set(re.findall(r"^CUDA (\S+) \(\S+\): agrees$", done.stdout, re.MULTILINE))
    assert agreeing >= {"11.8", "12.0", "12.4", "12.8", "12.9", "13.0", "13.1", "13.2", "13.3", "13.4", "13.5"}
    assert agreeing == {row.version for row in tables.cuda_toolkits() if row.verified}


def test_a_wrong_table_is_found_out_and_set_right(tmp_path: Path) -> None:
    copy = tmp_path / "cuda_toolkits.toml"
    right = TABLE.read_text("utf-8")
    wrong = right.replace('"sm_88", ', "").replace("gcc = [6, 15]", "gcc = [6, 14]")
    copy.write_text(wrong, encoding="utf-8")
    done = tool("--table", str(copy), "13.0")
    assert done.returncode == 1
    assert "-gcc = [6, 14]\n+gcc = [6, 15]\n" in done.stdout
    assert copy.read_text("utf-8") == wrong, "a comparison writes nothing"
    releases = [row.version for row in tables.cuda_toolkits() if row.release.major == 13]
    assert tool("--write", "--table", str(copy), *releases).returncode == 0
    assert copy.read_text("utf-8") == right


def test_a_release_that_nobody_publishes_is_an_error_in_words() -> None:
    done = tool("12.7")
    assert done.returncode == 1
    assert done.stderr.startswith("error: No wheels of CUDA 12.7")
    assert "Traceback" not in done.stderr
