"""cuBLAS, thinned to the GPU of this machine, gives the same results bit for bit: `ci/thin-on-gpu.sh`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "ci" / "thin-on-gpu.sh"


@pytest.mark.gpu
@pytest.mark.slow
def test_the_same_products_before_and_after() -> None:
    environment = {
        **os.environ,
        "GPUBUILD": f"{sys.executable} -m buildtool",
        "PYTHON": os.environ.get("PYTHON", "python3"),
    }
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)
    print(done.stdout)  # noqa: T201 - bytes saved, products made
    assert done.returncode == 0, done.stderr
    assert "original and thinned: the same, bit for bit" in done.stdout
