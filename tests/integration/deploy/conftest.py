"""Makes the imitated installation and the recorded trees importable by the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS / "imitation"), str(TESTS / "unit/deploy"), str(TESTS / "unit/codeobj")]
