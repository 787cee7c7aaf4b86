"""What ``llama-server --list-devices`` says of a runner folder, and which of its devices Ollama keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.deploy import rules
from buildtool.errors import GpubuildError, ProcessError
from buildtool.probe.machine import System

LIST_S = 90.0
TAIL = 12
PATHS = {"linux": "LD_LIBRARY_PATH", "macos": "DYLD_LIBRARY_PATH", "windows": "PATH"}
_DEVICE = re.compile(r"^\s+(?P<name>\S+): (?P<description>.+) \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)")
_GFX = re.compile(r"Device (\d+):.*, (gfx[0-9a-f]+)[\s:(]")
_CAPABILITY = re.compile(r"Device (\d+):.*compute capability (\d+\.\d+)")
_UMA = re.compile(r"ggml_vulkan: (\d+) = .*\| uma: ([01]) \|")
_ARCHS = re.compile(r"CUDA\s*: ARCHS = ([\d,]+)")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A device as llama-server names it, with what its other lines say: compute capability or processor."""

    name: str
    description: str
    total_mib: int
    library: str
    compute: str = ""
    integrated: bool = False


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All devices of one runner folder, the numbers its CUDA module was compiled for, and the last lines."""

    devices: tuple[Listed, ...] = ()
    archs: tuple[int, ...] = ()
    tail: tuple[str, ...] = ()


def parse_listing(text: str) -> Listing:
    """Read what llama-server prints; devices without memory (BLAS) are none."""
    compute = {int(index): value for index, value in (*_GFX.findall(text), *_CAPABILITY.findall(text))}
    shared = {int(index) for index, value in _UMA.findall(text) if value == "1"}
    archs = _ARCHS.search(text)
    rows = [found for line in text.splitlines() if (found := _DEVICE.match(line))]
    devices = tuple(
        Listed(
            name=row["name"],
            description=row["description"],
            total_mib=int(row["total"]),
            library=_library(f"{row['name']} {row['description']}"),
            compute=compute.get(index, ""),
            integrated=index in shared,
        )
        for index, row in enumerate(rows)
        if int(row["total"])
    )
    tail = tuple(line for line in text.splitlines() if line.strip())[-TAIL:]
    return Listing(devices=devices, archs=tuple(map(int, archs[1].split(","))) if archs else (), tail=tail)


def _library(words: str) -> str:
    told = words.lower()
    for library, marks in (("CUDA", ("cuda",)), ("ROCm", ("rocm", "hip")), ("Metal", ("metal", "apple"))):
        if any(mark in told for mark in marks):
            return library
    return "Vulkan" if "vulkan" in told else words


def kept(listing: Listing, tables: tuple[str, ...], env: Mapping[str, str], system: System) -> dict[str, str]:
    """Return for each device why Ollama leaves it, "" where it keeps it."""
    return {one.name: _left(one, listing.archs, tables, env, system) for one in listing.devices}


def _left(one: Listed, archs: tuple[int, ...], tables: tuple[str, ...], env: Mapping[str, str], system: System) -> str:
    if one.integrated and not rules.keeps_integrated(one.library, env, system):
        return "it is part of the processor, and OLLAMA_IGPU_ENABLE is not set"
    if one.library == "CUDA" and one.compute and archs and rules.arch_number(one.compute) not in archs:
        return f"compute capability {one.compute} is not in ARCHS {','.join(map(str, archs))}"
    chip = rules.override_target(env, system) or one.compute
    if one.library == "ROCm" and chip and not rules.has_rocblas(chip, tables):
        return f"no rocBLAS table for {chip}"
    return ""


def list_devices(
    server: Path, folders: tuple[Path, ...], module: Path, env: Mapping[str, str], system: System
) -> Listing:
    """Let a llama-server load a module as Ollama does, and read which devices it sees.

    Args:
        server: the installation's own llama-server.
        folders: where libraries are looked for, in order.
        module: the backend module.
        env: variables of the service.
        system: whose variable names the folders.

    Raises:
        ProcessError: it crashed or hung.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_ARG_")}
    search = os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get(PATHS[system], "")])])
    merged = own | dict(env) | {PATHS[system]: search, "GGML_BACKEND_PATH": str(module)}
    try:
        done = process.run((str(server), "--list-devices", "--offline", "-lv", "5"), env=merged, timeout_s=LIST_S)
    except GpubuildError as error:
        what = f"{server.name} does not come up with {module.name}."
        raise ProcessError(what, why=error.what, details=error.details[-TAIL:]) from error
    return parse_listing(done.output)
