"""Ask AMD's ``amdsmi`` library and print the answer in the form of ``amd-smi static --json``.

``python -m buildtool.probe.amdsmi_child``; a process of its own, because a broken driver can hang it.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Print a list of GPUs; a line of text and exit code 1 when the library fails."""
    try:
        import amdsmi

        amdsmi.amdsmi_init()
        rows = [_row(amdsmi, handle, index) for index, handle in enumerate(amdsmi.amdsmi_get_processor_handles())]
    except Exception as error:  # noqa: BLE001 - the library and its C core raise whatever they like
        sys.stdout.write(f"amdsmi failed: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(rows))
    return 0


def _row(amdsmi: object, handle: object, index: int) -> dict[str, object]:
    def ask(name: str) -> object:
        try:
            return getattr(amdsmi, name)(handle)
        except Exception:  # noqa: BLE001 - a question this GPU does not know leaves a gap
            return None

    asic = ask("amdsmi_get_gpu_asic_info")
    vram = ask("amdsmi_get_gpu_vram_info")
    driver = ask("amdsmi_get_gpu_driver_info")
    size = vram.get("vram_size") if isinstance(vram, dict) else None
    return {
        "gpu": index,
        "asic": asic if isinstance(asic, dict) else {},
        "bus": {"bdf": ask("amdsmi_get_gpu_device_bdf")},
        "vram": {"size": {"value": size, "unit": "MB"}},
        "driver": {"version": driver.get("driver_version")} if isinstance(driver, dict) else {},
    }


if __name__ == "__main__":
    sys.exit(main())
