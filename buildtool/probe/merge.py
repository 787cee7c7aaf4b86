"""Bring several sources' sightings of the same devices together: the first source wins, later ones fill gaps."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from buildtool.probe.sighting import Sighting

GAP_FIELDS = tuple(field for field in Sighting.__struct_fields__ if field not in {"vendor", "index"})
IDENTITY = ("pci", "uuid", "device_id")
KINDS = ("arch", "compute_capability", "device_id", "integrated")


class Sourced(msgspec.Struct, frozen=True, kw_only=True):
    """A sighting and the source that made it first."""

    source: str
    sighting: Sighting


def merge(reports: Iterable[tuple[str, tuple[Sighting, ...]]]) -> tuple[tuple[Sourced, ...], tuple[str, ...]]:
    """Merge `reports` (source name and what it saw) in order.

    Returns:
        The devices in the order they were first seen, and a warning for every contradiction.
    """
    merged: list[Sourced] = []
    warnings: list[str] = []
    for source, sightings in reports:
        claimed: set[int] = set()
        for sighting in sightings:
            place = _find(merged, sighting, claimed)
            if place is None:
                claimed.add(len(merged))
                merged.append(Sourced(source=source, sighting=sighting))
                continue
            claimed.add(place)
            first = merged[place]
            warnings += _contradictions(first, source, sighting)
            merged[place] = Sourced(source=first.source, sighting=_fill(first.sighting, sighting))
    return tuple(merged), tuple(warnings)


def _find(merged: list[Sourced], new: Sighting, claimed: set[int]) -> int | None:
    free = [
        (place, known.sighting)
        for place, known in enumerate(merged)
        if place not in claimed and known.sighting.vendor == new.vendor
    ]
    if new.pci is not None:
        for place, known in free:
            if known.pci == new.pci:
                return place
    candidates = [
        (place, known) for place, known in free if (known.pci is None or new.pci is None) and _compatible(known, new)
    ]
    alike = [place for place, known in candidates if _alike(known, new)]
    if alike:
        return alike[0]
    return candidates[0][0] if len(candidates) == 1 else None


def _compatible(known: Sighting, new: Sighting) -> bool:
    pairs = ((getattr(known, field), getattr(new, field)) for field in (*KINDS, "uuid"))
    return all(one is None or other is None or one == other for one, other in pairs)


def _alike(known: Sighting, new: Sighting) -> bool:
    fields = ("uuid", "device_id", "arch", "name", "compute_capability")
    return any(getattr(known, field) is not None and getattr(known, field) == getattr(new, field) for field in fields)


def _fill(known: Sighting, new: Sighting) -> Sighting:
    gaps = {field: getattr(new, field) for field in GAP_FIELDS if getattr(known, field) in {None, (), False}}
    if known.name_truncated and new.name and not new.name_truncated:
        gaps |= {"name": new.name, "name_truncated": False}
    elif known.name is not None:
        gaps |= {"name_truncated": known.name_truncated}
    if known.arch is not None and known.arch != new.arch:
        gaps["features"] = known.features
    if known.vram_suspect and new.vram_mib is not None and not new.vram_suspect:
        gaps |= {"vram_mib": new.vram_mib, "vram_suspect": False}
    elif known.vram_mib is not None:
        gaps["vram_suspect"] = known.vram_suspect
    return msgspec.structs.replace(known, **gaps)


def _contradictions(first: Sourced, source: str, new: Sighting) -> list[str]:
    warnings: list[str] = []
    for field, word in (("arch", "target"), ("compute_capability", "compute capability")):
        one, other = getattr(first.sighting, field), getattr(new, field)
        if one is not None and other is not None and one != other:
            where = new.pci or new.name or "a device"
            warnings.append(
                f"{source} gives {where} the {word} {other}, {first.source} says {one}; {first.source} is believed."
            )
    return warnings
