"""The NVML child, on an imitated pynvml: what it prints is what the parser reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildtool.probe.registry import NVML_CHILD
from buildtool.probe.sources import nvml

PYNVML = """
class NVMLError(Exception):
    pass

class Struct:
    def __init__(self, **fields):
        self.__dict__.update(fields)

def nvmlInit():
    if {broken!r}:
        raise NVMLError("Driver/library version mismatch")

nvmlSystemGetCudaDriverVersion_v2 = lambda: 13010
nvmlSystemGetDriverVersion = lambda: "590.48.01"
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: "gpu"
nvmlDeviceGetPciInfo = lambda handle: Struct(busId=b"00000000:00:09.0", pciDeviceId=0x233010DE)
nvmlDeviceGetMemoryInfo = lambda handle: Struct(total=81559 << 20 if handle == "gpu" else 40448 << 20)
nvmlDeviceGetCudaComputeCapability = lambda handle: (9, 0)
nvmlDeviceGetName = lambda handle: "NVIDIA H100 80GB HBM3"
nvmlDeviceGetMigMode = lambda handle: [1, 1]
nvmlDeviceGetMaxMigDeviceCount = lambda handle: 2

def nvmlDeviceGetMigDeviceHandleByIndex(handle, index):
    if index == 1:
        raise NVMLError("Not Found")
    return "slice"

def nvmlDeviceGetUUID(handle):
    raise NVMLError("Not Supported")
"""


def answer(folder: Path, *, broken: bool) -> str:
    (folder / "pynvml.py").write_text(PYNVML.replace("{broken!r}", repr(broken)), encoding="utf-8")
    source = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(source)))}
    done = subprocess.run(NVML_CHILD, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == int(broken), done.stderr
    return done.stdout


def test_a_device_with_a_mig_slice(tmp_path: Path) -> None:
    report = nvml.parse(answer(tmp_path, broken=False))
    assert (report.driver_version, report.cuda_version) == ("590.48.01", "13.1")
    (device,) = report.devices
    assert (device.name, device.compute_capability, device.vram_mib) == ("NVIDIA H100 80GB HBM3", "9.0", 81559)
    assert (device.pci, device.device_id, device.uuid) == ("0000:00:09.0", "0x2330", None)
    assert (device.mig_mode, [part.vram_mib for part in device.mig]) == ("Enabled", [40448])


def test_a_broken_driver_is_told_as_nvidia_smi_tells_it(tmp_path: Path) -> None:
    trouble = nvml.parse(answer(tmp_path, broken=True)).trouble
    assert trouble is not None
    assert trouble.kind == "driver-library-mismatch"


@pytest.mark.parametrize("text", ["", "[]", '{"devices": 3}', "Traceback (most recent call last):"])
def test_anything_else_is_trouble(text: str) -> None:
    assert nvml.parse(text).trouble is not None


def test_the_child_is_this_interpreter() -> None:
    assert NVML_CHILD[0] == sys.executable
