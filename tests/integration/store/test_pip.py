from __future__ import annotations

from pathlib import Path

import pytest

from buildtool.store.registry import configured_registry

pytestmark = pytest.mark.slow


def test_pip_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://file.invalid/simple\n")
    for name in ("PIP_INDEX_URL", "PIP_NO_INDEX", "GPUBUILD_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert configured_registry().index_urls[0] == "https://file.invalid/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.invalid/simple")
    assert configured_registry().index_urls[0] == "https://env.invalid/simple"
