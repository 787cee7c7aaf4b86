"""Sample trees and series for the tests of source patches."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from patch_samples import write_series, write_tree

# A busy machine must not fail a test. A profile asked for goes before.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
if settings.get_current_profile_name() == "default":
    settings.load_profile("busy")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a header of families, as a user's checkout."""
    return write_tree(tmp_path / "my checkout")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A series of one patch for that header."""
    return write_series(tmp_path / "series")
