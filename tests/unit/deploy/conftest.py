"""Makes the imitated installations, and the samples of device code, importable by the tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "codeobj")]
