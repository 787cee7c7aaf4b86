"""Plans whose scripts stand in ``golden/``: ``python tests/unit/script/script_samples.py`` writes them anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "compat"))

from compat_machines import cuda, debian, gcc, rocm, windows

from buildtool.compat import resolve
from buildtool.compat.model import Pin, Plan, PlanPatch, Request
from buildtool.compat.recipes import recipe_directory
from buildtool.probe.model import Host, Tool, ToolkitInstall
from buildtool.script import script_text

GOLDEN = Path(__file__).parent / "golden"
TOOLS = tuple(Tool(name=name, version=None, path=f"/usr/bin/{name}") for name in ("mmdebstrap", "bwrap"))
PINS = tuple(
    Pin(name=name, version=f"1:2.{n}-3", filename=f"{name}_1%3a2.{n}-3_amd64.deb", sha256=str(n) * 64)
    for n, name in enumerate(("g++", "hipcc"))
)
PATCH = "--- a/ggml/hip.h\n+++ b/ggml/hip.h\n@@ -1 +1 @@\n-old\n+new with $dollar and 'quotes'\n"
HIP_SDK = ToolkitInstall(kind="rocm", version="7.1.1", path=r"C:\Program Files\AMD\ROCm\7.1")
CUDA_FOR_WINDOWS = ToolkitInstall(
    kind="cuda", version="12.9.86", path=r"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v12.9"
)
VULKAN_SDK = ToolkitInstall(kind="vulkan", version="1.4.328", path=r"C:\VulkanSDK\1.4.328.0")


def plan(host: Host, **wish: object) -> Plan:
    """Resolve a wish; a root filesystem gets two make-believe packages."""
    found = resolve(msgspec.convert(wish, Request), host)
    if found.toolkit is None or found.toolkit.rootfs is None:
        return found
    return msgspec.structs.replace(found, toolkit=msgspec.structs.replace(found.toolkit, pins=PINS))


def patched(found: Plan) -> Plan:
    """Return the plan with a patch that the sample's diff stands for."""
    one = PlanPatch(name="hip-sample", sha256="0" * 64, targets=found.targets)
    return msgspec.structs.replace(found, patches=(one,))


def samples() -> dict[str, tuple[Plan, str]]:
    """Return every sample: file name to plan and the text of its patches."""
    able = debian(tools=TOOLS)
    git = "https://git.example/llama.cpp.git#0123456789abcdef0123456789abcdef01234567"
    return {
        "cpu.sh": (plan(debian(), backend="cpu"), ""),
        "cpu-git.sh": (plan(debian(), backend="cpu", source=git), ""),
        "cuda-wheels.sh": (plan(debian(), backend="cuda", targets=("sm_90",)), ""),
        "cuda-installed.sh": (
            plan(debian(toolkits=(cuda("11.8.89"),), host_compilers=(gcc(11),)), targets=("sm_35", "sm_52")), "",
        ),
        "rocm-installed.sh": (plan(debian(toolkits=(rocm("7.0.2"),)), targets=("gfx1032",)), ""),
        "rocm-rootfs-patched.sh": (patched(plan(able, targets=("gfx1013",), runtime="system")), PATCH),
        "vulkan-rootfs.sh": (plan(able, backend="vulkan"), ""),
        "cpu.ps1": (plan(windows(), backend="cpu"), ""),
        "cuda-installed.ps1": (plan(windows(toolkits=(CUDA_FOR_WINDOWS,)), targets=("sm_61", "sm_89")), ""),
        "cuda-wheels.ps1": (plan(windows(), backend="cuda", targets=("sm_90",)), ""),
        "rocm-hip-sdk.ps1": (plan(windows(toolkits=(HIP_SDK,)), targets=("gfx1032", "gfx1103")), ""),
        "rocm-hip-sdk-patched.ps1": (patched(plan(windows(toolkits=(HIP_SDK,)), targets=("gfx1013",))), PATCH),
        "vulkan-installed.ps1": (plan(windows(toolkits=(VULKAN_SDK,)), backend="vulkan"), ""),
    }  # fmt: skip


def golden_text(found: Plan, patch: str) -> str:
    """Return a plan's script without what other changes move: versions, digests, the recipe's own files."""
    text = script_text(found, "auto", patch)
    for path in recipe_directory(found.recipe).iterdir():
        if path.suffix in {".cmake", ".cpp"}:
            text = text.replace(path.read_text("utf-8").removesuffix("\n"), f"<the content of {path.name}>")
    text = re.sub(r"Written by gpubuild \S+ of plan [0-9a-f]{64}", "Written by gpubuild VERSION of plan DIGEST", text)
    text = re.sub(r"""(['"])(cmake|ninja)[<>=!][^'"]*""", r"\1\2", text)
    return re.sub(r"(DGPUBUILD_SLOW_FIRST=)[^'\"]*", r"\1...", text)


if __name__ == "__main__":
    for name, (found, patch) in samples().items():
        (GOLDEN / name).write_text(golden_text(found, patch), encoding="utf-8", newline="\n")
