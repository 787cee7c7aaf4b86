"""``nvidia-smi --query-gpu=… --format=csv`` in every form: with and without header, with and without units."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from buildtool.probe.messages import explain, find_trouble
from buildtool.probe.sighting import (
    Report,
    Sighting,
    bounded_lines,
    compute_capability,
    dotted,
    hex_id,
    mib,
    normalise_pci,
    stated,
    whole_number,
)
from buildtool.probe.tables import load_table

MAX_ROWS = 4096
HEADER_WIDTH = 64 << 10  # newer drivers have more than two hundred fields

# The form a cell of a known field has; "[N/A]" and its like are allowed everywhere.
_FORMS = {
    "index": r"\d{1,4}",
    "name": r"(?=.*[A-Za-z])(?!GPU-)[\w ()./+\-]{3,80}",
    "compute_cap": r"\d{1,2}\.\d",
    "memory.total": r"\d{1,8}( MiB)?",
    "pci.bus_id": r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]",
    "pci.device_id": r"0x[0-9A-Fa-f]{8}",
    "driver_version": r"\d{3}\.\d{2,3}(\.\d{2})?",
    "vbios_version": r"[0-9A-Fa-f]{2}(\.[0-9A-Fa-f]{2}){4}",
    "uuid": r"GPU-[0-9a-f-]{36}",
    "gpu_uuid": r"GPU-[0-9a-f-]{36}",
    "pstate": r"P\d{1,2}",
}


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known column order."""

    fields: tuple[str, ...]
    source: str


class QueryTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table."""

    schema: int
    query: tuple[Query, ...]


@lru_cache(maxsize=1)
def _known_orders() -> tuple[tuple[str, ...], ...]:
    return tuple(row.fields for row in load_table("nvidia_smi_queries.toml", QueryTable).query)


def parse(text: str) -> Report:
    """Read the CSV `text` of one query.

    A headerless text is read only when one of the column orders of ``data/nvidia_smi_queries.toml`` fits.
    """
    rows = [_cells(line) for line in bounded_lines(text, HEADER_WIDTH)[:MAX_ROWS] if line.strip()]
    trouble = find_trouble(text)
    if not rows or (trouble is not None and "," not in text):
        return Report(trouble=trouble or explain(text))
    header = [cell.partition(" [")[0] for cell in rows[0]]
    if "name" in header or "gpu_name" in header:
        columns, rows = tuple(header), rows[1:]
    else:
        columns = _fitting_order(rows)
    named = [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]
    devices = tuple(_device(cells, position) for position, cells in enumerate(named) if _is_device(cells))
    versions = [dotted(cells.get("driver_version")) for cells in named]
    return Report(
        devices=devices,
        driver_version=next((version for version in versions if version), None),
        trouble=None if devices else trouble or explain(text),
        partial=bool(devices) and len(devices) < len(rows),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _fitting_order(rows: list[list[str]]) -> tuple[str, ...]:
    for order in _known_orders():
        if all(len(row) == len(order) and _fits(order, row) for row in rows):
            return order
    return ()


def _fits(order: tuple[str, ...], row: list[str]) -> bool:
    return all(
        field not in _FORMS
        or re.fullmatch(_FORMS[field], cell, re.ASCII) is not None
        or (field != "name" and stated(cell) is None)
        for field, cell in zip(order, row, strict=True)
    )


def _is_device(cells: dict[str, str]) -> bool:
    return stated(cells.get("name") or cells.get("gpu_name")) is not None


def _device(cells: dict[str, str], position: int) -> Sighting:
    index = whole_number(cells.get("index"))
    # 0x233010DE is device 2330 of vendor 10DE.
    packed = re.fullmatch(r"0x([0-9A-Fa-f]{4})10DE", cells.get("pci.device_id", ""), re.IGNORECASE)
    return Sighting(
        vendor="nvidia",
        name=stated(cells.get("name") or cells.get("gpu_name")),
        compute_capability=compute_capability(cells.get("compute_cap")),
        vram_mib=mib(cells.get("memory.total")),
        pci=normalise_pci(cells.get("pci.bus_id") or cells.get("gpu_bus_id")),
        device_id=hex_id(packed[1]) if packed else None,
        index=position if index is None else index,
        mig_mode=stated(cells.get("mig.mode.current")),
        uuid=stated(cells.get("uuid") or cells.get("gpu_uuid")),
        driver=dotted(cells.get("driver_version")),
    )
