"""What may stand between a user and the GPUs: kernel modules, device nodes, groups, variables, toolkit headers.

Only ``gpubuild doctor`` asks for these; `detect` does without them.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from buildtool.probe.machine import LocalMachine, Machine, join
from buildtool.probe.messages import find_trouble
from buildtool.probe.model import Host

NodeState = Literal["open", "denied"]
MODULES = ("amdgpu", "nouveau", "nvidia", "radeon")
NODES = ("/dev/kfd", "/dev/nvidiactl", "/dev/dxg")
GROUPS = ("render", "video")
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION",
    "ROCR_VISIBLE_DEVICES",
)  # fmt: skip
HEADER_LIMIT = 4 << 20
ROCMINFO_TIMEOUT_S = 10.0
LONGEST_LINE = 200


class Guards(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which glibc a CUDA toolkit's ``crt/math_functions.h`` is prepared for, read from the header itself.

    Attributes:
        path: the toolkit's root.
        glibc_2_41: it steps aside for glibc's sinpi and cospi (``__NV_GLIBC_PROVIDES_IEC_60559_FUNCS``).
        glibc_2_42: it steps aside for glibc's rsqrt (``_NV_RSQRT_SPECIFIER``).
    """

    path: str
    glibc_2_41: bool
    glibc_2_42: bool


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a machine as far as GPU work depends on it.

    Attributes:
        modules: GPU kernel modules that are loaded.
        nodes: device nodes that are there, and whether this user may open them.
        missing_groups: groups of `GROUPS` that exist here and that this user is not in; () for root.
        environment: variables of `VARIABLES` that are set.
        headers: one for each CUDA toolkit whose header could be read.
        hsa: what rocminfo printed when ROCm could not start; "" when it could, or is not here.
    """

    modules: tuple[str, ...] = ()
    nodes: dict[str, NodeState] = {}
    missing_groups: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    headers: tuple[Guards, ...] = ()
    hsa: str = ""


def examine(host: Host, machine: Machine | None = None) -> Health:
    """Look at this machine, whose GPUs and toolkits `host` describes.

    Args:
        host: what `buildtool.probe.detect` found.
        machine: another machine to look at; tests imitate one here.
    """
    here = machine if machine is not None else LocalMachine()
    environment = {name: here.environ[name] for name in VARIABLES if here.environ.get(name)}
    if here.system != "linux":
        return Health(environment=environment)
    renders = (join(here, "/dev/dri", name) for name in here.list_dir("/dev/dri") if name.startswith("renderD"))
    return Health(
        modules=tuple(name for name in MODULES if here.exists(f"/sys/module/{name}")),
        nodes={path: "open" if here.may_open(path) else "denied" for path in (*NODES, *renders) if here.exists(path)},
        missing_groups=_missing_groups(here),
        environment=environment,
        headers=tuple(
            guards
            for toolkit in host.toolkits
            if toolkit.kind == "cuda" and (guards := _guards(here, toolkit.path)) is not None
        ),
        hsa=_hsa(here),
    )


def _missing_groups(machine: Machine) -> tuple[str, ...]:
    """Compare proc(5)'s ``status`` of this process with group(5)."""
    status = machine.read_text("/proc/self/status") or ""
    user = re.search(r"^Uid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    if user is None or user[1] == "0":
        return ()
    lists = re.findall(r"^(?:Gid|Groups):(.*)$", status, re.MULTILINE)
    own = {number for line in lists for number in line.split()}
    rows = [line.split(":") for line in (machine.read_text("/etc/group") or "").splitlines()]
    numbers = {row[0]: row[2] for row in rows if len(row) > 2}  # noqa: PLR2004 - name, password, number, members
    return tuple(name for name in GROUPS if name in numbers and numbers[name] not in own)


def _guards(machine: Machine, root: str) -> Guards | None:
    for folder in ("include", "targets/x86_64-linux/include", "targets/sbsa-linux/include"):
        text = machine.read_text(join(machine, root, folder, "crt", "math_functions.h"), HEADER_LIMIT)
        if text is not None:
            return Guards(
                path=root,
                glibc_2_41="__NV_GLIBC_PROVIDES_IEC_60559_FUNCS" in text,
                glibc_2_42="_NV_RSQRT_SPECIFIER" in text,
            )
    return None


def _hsa(machine: Machine) -> str:
    """Start ROCm by its own tool where there is a device to start it on."""
    path = machine.which("rocminfo") or "/opt/rocm/bin/rocminfo"
    if not (machine.exists("/dev/kfd") and machine.exists(path)):
        return ""
    output = machine.run((path,), ROCMINFO_TIMEOUT_S)
    if output is None:
        return ""
    if output.timed_out:
        return f"rocminfo did not answer within {ROCMINFO_TIMEOUT_S:g} s"
    trouble = find_trouble(output.text)
    if trouble is not None and trouble.kind != "not-found":
        return trouble.line
    lines = [line.strip() for line in output.text.splitlines() if line.strip()]
    if output.returncode == 0 or any(line.startswith("Agent ") for line in lines):
        return ""
    return lines[-1][:LONGEST_LINE] if lines else f"it ended with exit code {output.returncode}"
