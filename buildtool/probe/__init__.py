"""What is this machine? Reads it; changes nothing; needs no root."""

from __future__ import annotations

from buildtool.probe.survey import detect, detect_recorded

__all__ = ["detect", "detect_recorded"]
