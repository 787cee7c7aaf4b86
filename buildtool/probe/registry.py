"""The ordered table of sources: which are asked, in which order, and which can be replayed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import msgspec

from buildtool.probe.machine import Machine, Output, join, program_name
from buildtool.probe.sighting import Report, Trouble

SMI_TIMEOUT_S = 8.0
TOOL_TIMEOUT_S = 6.0
NVML_CHILD = (sys.executable, "-m", "buildtool.probe.nvml_child")
SMI_FIELDS = "index,name,compute_cap,memory.total,pci.bus_id,pci.device_id,driver_version,uuid,mig.mode.current"

Parse = Callable[[str], Report]
Collect = Callable[[Machine], Report | None]


class Source(NamedTuple):
    """One source: its name, and how it asks the machine (None: not applicable here)."""

    name: str
    collect: Collect


# Texts that `--replay TOOL=PATH` accepts, with the module under `sources` and the function that reads them. They are
# imported when used: a machine has few of these tools, and each module costs its import. (kfd takes a directory.)
PARSERS: dict[str, tuple[str, str]] = {
    "nvml": ("nvml", "parse"),
    "nvidia-smi-query": ("nvidia_smi_query", "parse"),
    "nvidia-smi-xml": ("nvidia_smi_xml", "parse"),
    "nvidia-smi-q": ("nvidia_smi_q", "parse"),
    "nvidia-smi-table": ("nvidia_smi_table", "parse"),
    "proc-driver-nvidia": ("proc_nvidia", "parse"),
    "amd-smi-json": ("amd_smi", "parse_json"),
    "amd-smi-text": ("amd_smi", "parse_text"),
    "rocm-smi-json": ("rocm_smi", "parse"),
    "rocminfo": ("rocminfo", "parse"),
    "amdgpu-arch": ("amdgpu_arch", "parse"),
    "hipinfo": ("hipinfo", "parse"),
    "lspci": ("lspci", "parse"),
    "vulkaninfo-summary": ("vulkaninfo", "parse"),
    "windows-registry": ("windows_registry", "parse"),
}


def parser(tool: str) -> Parse:
    """Return the function that reads the output of `tool` (a key of `PARSERS`)."""
    module, function = PARSERS[tool]
    parse: Parse = getattr(import_module(f"buildtool.probe.sources.{module}"), function)
    return parse


def _ran(output: Output | None, tool: str, timeout_s: float) -> Report | None:
    """Turn a program's output into a report; a crash after some devices keeps them."""
    if output is None:
        return None
    if output.timed_out:
        return Report(
            trouble=Trouble(
                kind="crashed", line=f"did not answer within {timeout_s:g} s; its driver may hang, see dmesg"
            )
        )
    report = parser(tool)(output.text)
    if output.returncode != 0 and (report.trouble is None or report.trouble.kind == "unreadable"):
        line = f"it ended with exit code {output.returncode}"
        trouble = Trouble(kind="crashed", line=line, code=output.returncode)
        return msgspec.structs.replace(report, trouble=trouble, partial=bool(report.devices))
    return report


def _program(tool: str, name: str, *arguments: str, timeout_s: float = TOOL_TIMEOUT_S) -> Collect:
    def collect(machine: Machine) -> Report | None:
        path = machine.which(name) or _vendor_program(machine, name)
        return None if path is None else _ran(machine.run((path, *arguments), timeout_s), tool, timeout_s)

    return collect


def _vendor_program(machine: Machine, name: str) -> str | None:
    """Look where vendors install their tools without putting them on PATH."""
    file = program_name(machine, name)
    roots = [machine.environ.get("ROCM_PATH"), machine.environ.get("HIP_PATH")]
    folders = [join(machine, root, *tail) for root in roots if root for tail in (("bin",), ("llvm", "bin"))]
    if machine.system == "windows":
        folders.append(join(machine, machine.environ.get("SYSTEMROOT", r"C:\Windows"), "System32"))
    else:
        folders += ["/opt/rocm/bin", "/opt/rocm/llvm/bin", "/usr/lib/wsl/lib"]
    candidates = (join(machine, folder, file) for folder in folders)
    return next((path for path in candidates if machine.exists(path)), None)


def _nvml(machine: Machine) -> Report | None:
    """Run the NVML child, if there is a sign of a driver: starting it for nothing costs a tenth of a second."""
    if machine.system == "windows":
        signs = [join(machine, machine.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvml.dll")]
    else:
        signs = ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"]
    if not any(machine.exists(path) for path in signs):
        return None
    return _ran(machine.run(NVML_CHILD, SMI_TIMEOUT_S), "nvml", SMI_TIMEOUT_S)


def _nvidia_smi(machine: Machine) -> Report | None:
    """Ask by query; a tool too old for one of its fields is asked for its XML."""
    query = (f"--query-gpu={SMI_FIELDS}", "--format=csv")
    report = _program("nvidia-smi-query", "nvidia-smi", *query, timeout_s=SMI_TIMEOUT_S)(machine)
    if report is not None and report.trouble is not None and report.trouble.kind == "field-unsupported":
        return _program("nvidia-smi-xml", "nvidia-smi", "-q", "-x", timeout_s=SMI_TIMEOUT_S)(machine)
    return report


def _proc_nvidia(machine: Machine) -> Report | None:
    root = "/proc/driver/nvidia"
    files = [join(machine, root, "version")]
    gpus = join(machine, root, "gpus")
    files += [join(machine, gpus, name, "information") for name in machine.list_dir(gpus)]
    texts = [text for text in (machine.read_text(file) for file in files) if text]
    return parser("proc-driver-nvidia")("\n".join(texts)) if texts else None


def _collector(module: str) -> Collect:
    def collect(machine: Machine) -> Report | None:
        collect_there: Collect = import_module(f"buildtool.probe.sources.{module}").collect
        return collect_there(machine)

    return collect


# Each chain is asked from its first source on until the devices it knows leave no gap; chains run side by side.
CHAINS: dict[str, tuple[Source, ...]] = {
    "nvidia": (
        Source("nvml", _nvml),
        Source("nvidia-smi-query", _nvidia_smi),
        Source("proc-driver-nvidia", _proc_nvidia),
        Source("device-tree", _collector("tegra")),
    ),
    "amd": (
        Source("kfd", _collector("kfd")),
        Source("amdsmi", _collector("amdsmi")),
        Source("amd-smi-json", _program("amd-smi-json", "amd-smi", "static", "--json")),
        Source("rocminfo", _program("rocminfo", "rocminfo")),
        Source("hipinfo", _program("hipinfo", "hipInfo")),
        Source("amdgpu-arch", _program("amdgpu-arch", "amdgpu-arch")),
    ),
    "bus": (
        Source("pci", _collector("sysfs_pci")),
        Source("lspci", _program("lspci", "lspci", "-nnk")),
        Source("windows-registry", _collector("windows_registry")),
    ),
}
LAST_RESORT = Source("vulkaninfo-summary", _program("vulkaninfo-summary", "vulkaninfo", "--summary"))
