"""gpubuild's own wheel: what a plain ``pip install`` of this project gives, against what the sources hold."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[3]


def shipped() -> set[str]:
    """Every file of the package, the recipes and the patches, under the name it has once installed."""
    places = {
        "buildtool": "buildtool",
        "recipes": "buildtool/_shipped/recipes",
        "patches": "buildtool/_shipped/patches",
    }
    return {
        f"{there}/{path.relative_to(ROOT / here).as_posix()}"
        for here, there in places.items()
        for path in (ROOT / here).rglob("*")
        if path.is_file() and not any(part == "__pycache__" or part.endswith("_cache") for part in path.parts)
    }


def test_an_installed_gpubuild_has_everything_a_checkout_has(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(argv, check=True)
    (wheel,) = tmp_path.glob("gpubuild-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == shipped()
    assert "buildtool/wheel/payload/gpubuild_llama/__init__.py" in packed
