"""Makes the imitated installations, and the samples of device code, importable by the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "codeobj"), str(HERE.parents[1] / "imitation")]
