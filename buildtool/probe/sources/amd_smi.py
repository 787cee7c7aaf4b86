"""``amd-smi static``: its JSON forms and its text form."""

from __future__ import annotations

import re

import msgspec

from buildtool.probe.messages import explain
from buildtool.probe.sighting import (
    Report,
    Sighting,
    bounded_lines,
    hex_id,
    normalise_pci,
    plausible_mib,
    split_target,
    stated,
    whole_number,
)

_VERSION = re.compile(r"\d{1,5}\.\d{1,5}[\w.+~-]{0,60}", re.ASCII)
_PAIR = re.compile(r"( *)([A-Z][A-Z0-9_]*):\s*(.*)")
MAX_DEVICES = 1024


def parse_json(text: str) -> Report:
    """Read ``amd-smi static --json``: a list of GPUs, or an object with ``gpu_data`` (ROCm 7)."""
    start = min((at for at in (text.find("["), text.find("{")) if at >= 0), default=-1)
    try:
        root = msgspec.json.decode(text[start:]) if start >= 0 else None
    except (msgspec.DecodeError, RecursionError):
        return Report(trouble=explain(text))
    rows = root.get("gpu_data") if isinstance(root, dict) else root
    if not isinstance(rows, list):
        return Report(trouble=explain(text))
    return _report([row for row in rows[:MAX_DEVICES] if isinstance(row, dict)], text)


def parse_text(text: str) -> Report:
    """Read ``amd-smi static``: ``GPU: n`` blocks with sections by indentation."""
    rows: list[dict[str, object]] = []
    section: dict[str, object] = {}
    for line in bounded_lines(text):
        pair = _PAIR.fullmatch(line)
        if pair is None:
            continue
        indent, key, value = len(pair[1]), pair[2].lower(), pair[3]
        if indent == 0 and key == "gpu":
            rows.append({"gpu": whole_number(value)})
        elif rows and indent == 4:  # noqa: PLR2004 - the tool's indentation step
            section = {}
            rows[-1][key] = section
        elif rows and indent == 8:  # noqa: PLR2004 - the tool's indentation step
            section[key] = value
    return _report(rows[:MAX_DEVICES], text)


def _report(rows: list[dict[str, object]], text: str) -> Report:
    devices = tuple(_device(row, position) for position, row in enumerate(rows) if _section(row, "asic"))
    drivers = [_version(_text(_section(row, "driver"), "version")) for row in rows]
    trouble = None
    if not devices:
        trouble = explain(text if rows or text.strip() not in {"[]", "{}"} else "No devices were found")
    return Report(
        devices=devices,
        driver_name="amdgpu",
        driver_version=next((driver for driver in drivers if driver), None),
        trouble=trouble,
        partial=bool(devices) and len(devices) < len(rows),
    )


def _device(row: dict[str, object], position: int) -> Sighting:
    asic, index = _section(row, "asic"), row.get("gpu")
    arch, features = split_target(_text(asic, "target_graphics_version"))
    return Sighting(
        vendor="amd",
        name=stated(_text(asic, "market_name")),
        arch=arch,
        features=features,
        vram_mib=_size(_section(row, "vram").get("size")),
        pci=normalise_pci(_text(_section(row, "bus"), "bdf")),
        device_id=hex_id(_text(asic, "device_id")),
        index=index if isinstance(index, int) and not isinstance(index, bool) else position,
        driver=_version(_text(_section(row, "driver"), "version")),
    )


def _section(row: dict[str, object], name: str) -> dict[str, object]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _text(section: dict[str, object], name: str) -> str | None:
    value = section.get(name)
    return value if isinstance(value, str) else None


def _version(text: str | None) -> str | None:
    """Return a driver version; some releases put the whole of /proc/version there, which is none."""
    return text if text is not None and _VERSION.fullmatch(text) else None


def _size(value: object) -> int | None:
    """Read ``{"value": 32624, "unit": "MB"}`` or ``32624 MB`` (amd-smi's MB are MiB)."""
    if isinstance(value, dict):
        number, unit = value.get("value"), value.get("unit")
        usable = isinstance(number, int) and not isinstance(number, bool) and unit in {"MB", "MiB"}
        return plausible_mib(number) if usable else None
    match = re.fullmatch(r"(\d{1,9}) (?:MB|MiB)", value, re.ASCII) if isinstance(value, str) else None
    return plausible_mib(int(match[1])) if match else None
