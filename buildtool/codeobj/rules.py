"""Will it run? The loaders' own rules, applied to images, files and rocBLAS folders.

NVIDIA: CUDA C++ Programming Guide, sections "Binary Compatibility", "PTX Compatibility" and "Family-Specific
Features". AMD: LLVM's AMDGPU usage guide, sections "Target ID" and "Generic processors", as ROCr and HIP apply them.
What the loaders accept beyond that is data (``loader.toml``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib import resources

import msgspec

from buildtool.codeobj.model import FileReport, FileVerdict, Image, Inspection, Verdict
from buildtool.compat import tables
from buildtool.compat.targets import Target, parse_target
from buildtool.compat.versions import Release

RANK = {"yes": 2, "only-if": 1, "no": 0}
NVIDIA_NAME = re.compile(r"(?:sm|compute|lto)_(\d{1,9})([af]?)$")
LAZY = re.compile(r"TensileLibrary_lazy_(gfx[0-9a-f]+)\.dat$")


class _Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: tuple[str, ...]
    source: str
    who: str = ""


class _Generic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rocm: str
    source: str


class _Tensile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    processors: tuple[str, ...]
    source: str


class _Loader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tegra: tuple[_Rows, ...]
    siblings: tuple[_Rows, ...]
    generic: _Generic
    tensile: _Tensile


@functools.cache
def _loader() -> _Loader:
    text = resources.files(__package__).joinpath("loader.toml").read_text("utf-8")
    return tables.decode_table(text, _Loader, "loader.toml")


def tensile_knows(chip: str) -> bool:
    """Tell whether rocBLAS takes a table's row that names this processor."""
    return chip in _loader().tensile.processors


def will_run(image: Image, device: str, *, driver_cuda: str | None = None) -> Verdict:
    """Say whether the driver of a device loads an image.

    Args:
        image: the device code.
        device: the device's target (``sm_89``, ``gfx1032``, ``gfx90a:sramecc+:xnack-``).
        driver_cuda: newest CUDA release that the NVIDIA driver supports (``13.0``); without it, PTX is ``only-if``.

    Raises:
        UnknownNameError: nobody knows the device's target.
    """
    (target, *_) = parse_target(device)
    return _judge(image, target, driver_cuda)


def _judge(image: Image, device: Target, driver_cuda: str | None) -> Verdict:
    if image.kind == "spirv":
        return Verdict(answer="only-if", reason="SPIR-V runs if the device's driver or runtime compiles it")
    nvidia = NVIDIA_NAME.match(image.target)
    if (nvidia is not None) != (device.platform == "cuda"):
        return Verdict(answer="no", reason=f"{image.target or image.kind} is code for another vendor's device")
    if nvidia is None:
        return _amd(image, device)
    number, suffix = int(nvidia[1]), nvidia[2]
    if image.kind == "cubin":
        return _cubin(number, suffix, device)
    return _virtual(image, number, suffix, device, driver_cuda)


def _capability(number: int) -> str:
    return f"{number // 10}.{number % 10}"


def _cubin(number: int, suffix: str, device: Target) -> Verdict:
    have = int(device.chip[3:])
    name = f"sm_{number}{suffix}"
    if number == have:
        return Verdict(answer="yes", reason=f"{name} is the device's own target")
    if suffix == "a":
        reason = f"{name} runs on compute capability {_capability(number)} only"
        return Verdict(answer="no", reason=reason)
    if number // 10 != have // 10:
        reason = f"{name} is for another major compute capability than {_capability(have)}"
        return Verdict(answer="no", reason=reason)
    if number > have:
        reason = f"{name} needs compute capability {_capability(number)}, the device has {_capability(have)}"
        return Verdict(answer="no", reason=reason)
    tegra = {target for row in _loader().tegra for target in row.targets}
    if (f"sm_{number}" in tegra) != (device.chip in tegra):
        reason = (
            f"{name} and {device.chip} share a major, but NVIDIA promises no compatibility between Jetson and desktop"
        )
        return Verdict(answer="only-if", reason=reason)
    return Verdict(answer="yes", reason=f"{name} runs on every {number // 10}.x device from {_capability(number)} on")


def _virtual(image: Image, number: int, suffix: str, device: Target, driver_cuda: str | None) -> Verdict:
    have, name = int(device.chip[3:]), image.target
    if suffix == "a" and number != have:
        return Verdict(answer="no", reason=f"{name} compiles for compute capability {_capability(number)} only")
    if number > have or (suffix == "f" and number // 10 != have // 10):
        return Verdict(answer="no", reason=f"{name} does not compile for compute capability {_capability(have)}")
    if image.kind != "ptx":
        return Verdict(answer="only-if", reason=f"{name} runs if the program links it for the device (nvJitLink)")
    return _isa(image, driver_cuda)


def _isa(image: Image, driver_cuda: str | None) -> Verdict:
    release = _cuda_of_isa(image.isa or "")
    if release is None:
        return Verdict(answer="only-if", reason=f"PTX {image.isa} runs if the driver's compiler knows it")
    if driver_cuda is None:
        reason = f"PTX {image.isa} runs if the driver supports CUDA {release} or newer, which compiles it on first use"
        return Verdict(answer="only-if", reason=reason)
    if Release.parse(driver_cuda) >= Release.parse(release):
        return Verdict(answer="yes", reason=f"the driver compiles PTX {image.isa} on first use")
    reason = f"PTX {image.isa} needs a driver for CUDA {release}; this one supports {driver_cuda}"
    return Verdict(answer="no", reason=reason)


def _cuda_of_isa(isa: str) -> str | None:
    """Return the first CUDA release that knows a PTX ISA version, None if no known one does."""
    if not isa:
        return None
    wanted = Release.parse(isa)
    newer = [row.version for row in tables.cuda_toolkits() if Release.parse(row.ptx) >= wanted]
    return min(newer, key=Release.parse, default=None)


def _amd(image: Image, device: Target) -> Verdict:
    chip, *features = image.target.split(":")
    if not chip:
        return Verdict(answer="no", reason="its processor is unknown")
    if chip == device.chip:
        return _features(image.target, features, device)
    if image.kind != "hsaco":
        return Verdict(answer="no", reason=f"it is for {chip} by its name")
    return _relative(chip, device)


def _relative(chip: str, device: Target) -> Verdict:
    row = tables.amd_targets().get(device.chip)
    if row is not None and chip == row.generic:
        rocm = _loader().generic.rocm
        return Verdict(answer="only-if", reason=f"{chip} covers {device.chip} with ROCm {rocm} or newer")
    for group in _loader().siblings:
        if {chip, device.chip} <= set(group.targets):
            reason = f"stock ROCm refuses {chip} code on {device.chip}; {group.who} loads it"
            return Verdict(answer="only-if", reason=reason)
    return Verdict(answer="no", reason=f"{chip} is not {device.chip}")


def _features(name: str, wanted: list[str], device: Target) -> Verdict:
    have = {feature[:-1]: feature[-1] for feature in device.features}
    open_ones = []
    for feature in wanted:
        kind, mode = feature[:-1], feature[-1]
        if kind in have and have[kind] != mode:
            return Verdict(answer="no", reason=f"{name} needs {feature}, the device has {kind}{have[kind]}")
        if kind not in have:
            open_ones.append(f"{kind} {'on' if mode == '+' else 'off'}")
    if open_ones:
        return Verdict(answer="only-if", reason=f"{name} runs if the device has {' and '.join(open_ones)}")
    return Verdict(answer="yes", reason=f"{name} is the device's own target")


def judge_file(report: FileReport, device: str, *, driver_cuda: str | None = None) -> FileVerdict:
    """Say whether a file's device code runs on a device.

    The best image of every fat binary (or bundle) counts, as the loader picks it; where only some of a file's fat
    binaries hold a fitting image, the reason says how many.
    """
    (target, *_) = parse_target(device)
    best: dict[int, Verdict] = {}
    judged: dict[tuple[str, str, str | None], Verdict] = {}
    for image in report.images:
        key = (image.kind, image.target, image.isa)
        verdict = judged.setdefault(key, _judge(image, target, driver_cuda))
        known = best.get(image.container_offset)
        if known is None or RANK[verdict.answer] > RANK[known.answer]:
            best[image.container_offset] = verdict
    top = max(best.values(), key=lambda verdict: RANK[verdict.answer])
    if top.answer == "no":
        held = ", ".join(dict.fromkeys(image.target for image in report.images if image.target)) or "unknown code"
        return FileVerdict(path=report.path, answer="no", reason=f"it holds {held}: none of it loads on {device}")
    fitting = sum(verdict.answer == top.answer for verdict in best.values())
    part = "" if fitting == len(best) else f" ({fitting} of {len(best)} fat binaries in this file)"
    return FileVerdict(path=report.path, answer=top.answer, reason=top.reason + part)


def judge(inspection: Inspection, device: str, *, driver_cuda: str | None = None) -> Inspection:
    """Return the inspection with a verdict per file, and per rocBLAS folder, for one device.

    Raises:
        UnknownNameError: nobody knows the device's target.
    """
    files = [judge_file(file, device, driver_cuda=driver_cuda) for file in inspection.files]
    files += _rocblas_folders(inspection.files, parse_target(device)[0])
    return msgspec.structs.replace(inspection, device=device, verdicts=tuple(files))


def _rocblas_folders(files: Iterable[FileReport], device: Target) -> list[FileVerdict]:
    """Judge folders by name, as rocBLAS does: it opens ``TensileLibrary_lazy_<gfx>.dat`` or aborts."""
    if device.platform != "rocm":
        return []
    folders: dict[str, set[str]] = {}
    for file in files:
        found = LAZY.search(file.path)
        if found:
            folders.setdefault(file.path[: found.start()].rstrip("/!"), set()).add(found[1])
    verdicts = []
    for folder, chips in sorted(folders.items()):
        there = device.chip in chips
        reason = "holds" if there else "does not hold"
        words = f"the rocBLAS library {reason} TensileLibrary_lazy_{device.chip}.dat"
        verdicts.append(FileVerdict(path=folder, answer="yes" if there else "no", reason=words))
    return verdicts
