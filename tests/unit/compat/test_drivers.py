"""Which NVIDIA driver a toolkit needs: one for a whole major from CUDA 11 on, each release its own before."""

from __future__ import annotations

import pytest
from compat_machines import cuda, debian, driver, nvidia

from buildtool.compat.doctor import diagnose
from buildtool.compat.rules import oldest_driver
from buildtool.compat.versions import Release
from buildtool.probe.health import Health


@pytest.mark.parametrize(
    ("toolkit", "linux", "windows"),
    [
        ("7.5", "352.31", "353.66"),
        ("10.0.130", "410.48", "411.31"),
        ("10.2.89", "440.33", "441.22"),
        ("11.8", "450.80.02", "452.39"),
        ("12.9.86", "525.60.13", "528.33"),
        ("13.5", "580", "580"),
        ("99.0", "", ""),
    ],
)
def test_the_oldest_driver_of_a_toolkit(toolkit: str, linux: str, windows: str) -> None:
    release = Release.parse(toolkit)
    assert (oldest_driver(release, "linux"), oldest_driver(release, "windows")) == (linux, windows)


@pytest.mark.parametrize(("version", "wrong"), [("418.39", "440.33"), ("440.33.01", None)])
def test_the_doctor_knows_the_drivers_of_old_toolkits_too(version: str, wrong: str | None) -> None:
    host = debian(
        devices=(nvidia("sm_37", "Tesla K80"),), drivers=(driver(version, None),), toolkits=(cuda("10.2.89"),)
    )
    found = [one for one in diagnose(host, Health()) if one.id == "driver-too-old"]
    assert [f"update the NVIDIA driver to {wrong} or newer" in one.cure for one in found] == ([True] if wrong else [])
