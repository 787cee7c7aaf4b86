from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

# A busy machine must not fail a test. A profile asked for goes before.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
if settings.get_current_profile_name() == "default":
    settings.load_profile("busy")
