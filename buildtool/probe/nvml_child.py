"""Ask NVML and print the answer as JSON: run as a process of its own, because a broken driver can hang it.

``python -m buildtool.probe.nvml_child``; read by `buildtool.probe.sources.nvml`.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Print ``{driver, cuda, devices: [...]}``, or ``{error}`` with exit code 1."""
    try:
        import pynvml
    except ImportError as error:
        return _fail(f"nvidia-ml-py cannot be imported: {error}")
    try:
        pynvml.nvmlInit()
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        answer = {
            "driver": pynvml.nvmlSystemGetDriverVersion(),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "devices": [_device(pynvml, handle, index) for index, handle in enumerate(handles)],
        }
    except pynvml.NVMLError as error:
        return _fail(f"Failed to initialize NVML: {error}")
    sys.stdout.write(json.dumps(answer, default=_text))
    return 0


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fail(text: str) -> int:
    sys.stdout.write(json.dumps({"error": text}))
    return 1


def _device(pynvml: object, handle: object, index: int) -> dict[str, object]:
    def ask(name: str, *arguments: object) -> object:
        try:
            return getattr(pynvml, name)(handle, *arguments)
        except Exception:  # noqa: BLE001 - a question this GPU or driver does not know leaves a gap
            return None

    pci = ask("nvmlDeviceGetPciInfo")
    memory = ask("nvmlDeviceGetMemoryInfo")
    capability = ask("nvmlDeviceGetCudaComputeCapability")
    mig = ask("nvmlDeviceGetMigMode")
    return {
        "index": index,
        "name": ask("nvmlDeviceGetName"),
        "uuid": ask("nvmlDeviceGetUUID"),
        "compute_capability": list(capability) if isinstance(capability, (tuple, list)) else None,
        "memory": getattr(memory, "total", None),
        "pci": getattr(pci, "busId", None),
        "pci_device_id": getattr(pci, "pciDeviceId", None),
        "mig": mig[0] if isinstance(mig, (tuple, list)) and mig else None,
        "slices": _slices(pynvml, ask),
    }


def _slices(pynvml: object, ask: object) -> list[dict[str, object]]:
    if not callable(ask):
        return []
    count = ask("nvmlDeviceGetMaxMigDeviceCount")
    slices: list[dict[str, object]] = []
    for index in range(count if isinstance(count, int) else 0):
        part = ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
        if part is not None:
            memory = pynvml.nvmlDeviceGetMemoryInfo(part)  # type: ignore[attr-defined]
            slices.append({"index": index, "memory": memory.total})
    return slices


if __name__ == "__main__":
    sys.exit(main())
