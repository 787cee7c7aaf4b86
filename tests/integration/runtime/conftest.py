"""Makes the samples of the room's unit tests importable by the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

UNIT = Path(__file__).parents[2] / "unit"
sys.path[:0] = [str(UNIT / "runtime"), str(UNIT / "codeobj")]
