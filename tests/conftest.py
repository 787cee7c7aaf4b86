"""How hard property tests look: ``pytest --hypothesis-profile deep`` before a release, the default every day."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("deep", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
