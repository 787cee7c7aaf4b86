"""``nvidia-smi -q -x``: the XML form, which every driver since 2011 prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast
from xml.etree import ElementTree as ET

from buildtool.probe.messages import explain, unreadable
from buildtool.probe.sighting import (
    MigSlice,
    Report,
    Sighting,
    dotted,
    hex_id,
    mib,
    normalise_pci,
    stated,
    whole_number,
)


def parse(text: str) -> Report:
    """Read the XML `text`; GPUs that were complete before a fault in it are kept."""
    start = text.find("<nvidia_smi_log")
    if start < 0 or "<!ENTITY" in text:
        return Report(trouble=explain(text) if start < 0 else unreadable(text))
    gpus, top, whole = _elements(text[start:])
    driver = dotted(top.get("driver_version"))
    devices = tuple(_device(gpu, index, driver) for index, gpu in enumerate(gpus))
    return Report(
        devices=devices,
        driver_version=driver,
        cuda_version=dotted(top.get("cuda_version")),
        attached=whole_number(top.get("attached_gpus")),
        trouble=None if devices else explain(text),
        partial=bool(devices) and not whole,
    )


def _elements(text: str) -> tuple[list[ET.Element], dict[str, str], bool]:
    """Return the complete ``gpu`` elements, the texts of the top-level ones, and whether the end was reached."""
    parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(events=("start", "end"))
    gpus: list[ET.Element] = []
    top: dict[str, str] = {}
    depth = 0
    whole = True
    try:
        parser.feed(text)
        parser.close()
    except ET.ParseError:
        whole = False
    try:
        for event, element in cast("Iterator[tuple[str, ET.Element]]", parser.read_events()):
            depth += 1 if event == "start" else -1
            if event == "end" and depth == 1:
                if element.tag == "gpu":
                    gpus.append(element)
                else:
                    top[element.tag] = (element.text or "").strip()
    except ET.ParseError:
        whole = False
    return gpus, top, whole


def _device(gpu: ET.Element, index: int, driver: str | None) -> Sighting:
    packed = (gpu.findtext("pci/pci_device_id") or "").strip()
    return Sighting(
        vendor="nvidia",
        name=stated(gpu.findtext("product_name")),
        architecture=stated(gpu.findtext("product_architecture")),
        vram_mib=mib(gpu.findtext("fb_memory_usage/total")),
        pci=normalise_pci(gpu.get("id")) or normalise_pci(gpu.findtext("pci/pci_bus_id")),
        device_id=hex_id(packed[:4]) if packed.upper().endswith("10DE") else None,
        index=index,
        mig_mode=stated(gpu.findtext("mig_mode/current_mig")),
        mig=tuple(_slice(part, place) for place, part in enumerate(gpu.iterfind("mig_devices/mig_device"))),
        driver_model=stated(gpu.findtext("driver_model/current_dm"))
        or stated(gpu.findtext("driver_model/driver_model_current")),
        uuid=stated(gpu.findtext("uuid")),
        driver=driver,
    )


def _slice(part: ET.Element, place: int) -> MigSlice:
    index = whole_number(part.findtext("index"))
    return MigSlice(
        index=place if index is None else index,
        gi=whole_number(part.findtext("gpu_instance_id")),
        vram_mib=mib(part.findtext("fb_memory_usage/total")),
    )
