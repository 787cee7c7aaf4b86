"""An installed Ollama is found where its installers put it."""

from __future__ import annotations

import pytest
from machines import ImitatedMachine, printing

from buildtool.probe.binaries import find_ollama

OLLAMA = printing("")


@pytest.mark.parametrize(
    ("machine", "folder"),
    [
        (ImitatedMachine(), None),
        (ImitatedMachine(files={"/usr/lib/ollama/rocm/libggml-hip.so": ""}), "/usr/lib/ollama"),
        (
            ImitatedMachine(programs={"/opt/x/bin/ollama": OLLAMA}, files={"/opt/x/lib/ollama/cuda_v13/a.so": ""}),
            "/opt/x/lib/ollama",
        ),
        (
            ImitatedMachine(
                programs={"/usr/bin/ollama": OLLAMA},
                links={"/usr/bin/ollama": "/srv/ollama/bin/ollama"},
                files={"/srv/ollama/lib/ollama/a.so": "", "/usr/lib/ollama/a.so": ""},
            ),
            "/srv/ollama/lib/ollama",
        ),
        (
            ImitatedMachine(
                system="windows",
                environ={"LOCALAPPDATA": r"C:\Users\a\AppData\Local"},
                files={r"C:\Users\a\AppData\Local\Programs\Ollama\lib\ollama\rocm\ggml-hip.dll": ""},
            ),
            r"C:\Users\a\AppData\Local\Programs\Ollama\lib\ollama",
        ),
        (ImitatedMachine(system="windows"), None),
    ],
)
def test_the_folder_of_the_backends(machine: ImitatedMachine, folder: str | None) -> None:
    assert find_ollama(machine) == folder
