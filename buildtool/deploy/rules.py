"""How Ollama decides about runner folders and devices: small functions over what a listing or a binary says.

They follow Ollama's discovery (0.30 and newer) as it was looked up; each says which part it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildtool.deploy.facts import facts
from buildtool.probe.machine import System

FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a variable as Ollama does: unset is the default, and what is no truth value is true."""
    value = env.get(name, "").strip().strip("\"'")
    return default if not value else value not in FALSE


def passed_by(folder: str, env: Mapping[str, str]) -> str:
    """Return why discovery does not look into a runner folder, "" when it does."""
    wanted = env.get("OLLAMA_LLM_LIBRARY", "").strip().lower()
    if wanted and not wanted.startswith("mlx_") and folder != wanted:
        return f"OLLAMA_LLM_LIBRARY={wanted} names another folder"
    if "cuda_jetpack" in folder and "JETSON_JETPACK" not in env:
        return "it is for Jetson boards (JetPack)"
    if "vulkan" in folder and not flag(env, "OLLAMA_VULKAN", default=True):
        return "OLLAMA_VULKAN turns Vulkan off"
    return ""


def arch_number(capability: str) -> int:
    """Return a compute capability as ggml lists it in ARCHS: 8.9 is 890, 12.0 is 1200."""
    major, _, minor = capability.partition(".")
    return int(f"{major}{minor or '0'}") * 10


def archs_of(targets: tuple[str, ...]) -> tuple[int, ...]:
    """Return the ARCHS that a CUDA module with this device code was compiled for."""
    numbers = (re.fullmatch(r"(?:sm|compute|lto)_(\d+)[af]?", target) for target in targets)
    return tuple(sorted({int(found[1]) * 10 for found in numbers if found}))


def override_target(env: Mapping[str, str], system: System) -> str:
    """Return the processor that HSA_OVERRIDE_GFX_VERSION makes every AMD card pass for; "" without one.

    The variable is read on Linux only. 10.3.0 is gfx1030: minor and stepping are one hexadecimal digit each.
    """
    value = env.get("HSA_OVERRIDE_GFX_VERSION", "").strip()
    if system != "linux" or not value:
        return ""
    if value.startswith("gfx"):
        return value if re.fullmatch(r"gfx[0-9a-f]{3,}", value) else ""
    parts = value.split(".")
    if len(parts) != 3 or not all(re.fullmatch(r"\d{1,2}", part, re.ASCII) and int(part) < 16 for part in parts):  # noqa: PLR2004
        return ""
    major, minor, stepping = map(int, parts)
    return f"gfx{major}{minor:x}{stepping:x}"


def has_rocblas(processor: str, tables: tuple[str, ...]) -> bool:
    """Whether the rule of rocBLAS keeps an AMD card: no lazy table at all keeps every card."""
    return not tables or processor in tables


def keeps_integrated(library: str, env: Mapping[str, str], system: System) -> bool:
    """Whether a GPU in the processor is kept: CUDA's always, others only with OLLAMA_IGPU_ENABLE."""
    if system == "macos":
        return True
    return flag(env, "OLLAMA_IGPU_ENABLE", default=library == "CUDA")


def overlapped(covered: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return, for each folder of one library, the devices that it loses to another folder.

    The highest name wins that covers exactly what all others cover. As soon as two folders differ in what they cover,
    Ollama's search ends at the lowest name: that one keeps what it has, and the others keep what it lacks.
    """
    if len(covered) < 2:  # noqa: PLR2004
        return dict.fromkeys(covered, frozenset())
    names = sorted(covered, reverse=True)
    alike = len(set(covered.values())) == 1
    winner = names[0] if alike else names[-1]
    return {name: covered[name] & covered[winner] if name != winner else frozenset() for name in names}


def rank(library: str) -> int:
    """Return how libraries win over each other for one card; lower wins."""
    return next((row.rank for row in facts().backends if row.name == library), 1)
