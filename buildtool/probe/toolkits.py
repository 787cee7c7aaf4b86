"""Installed CUDA, ROCm and Vulkan toolkits: their roots, versions and compilers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from buildtool.probe.machine import Machine, basename, dirname, join, program_name
from buildtool.probe.model import ToolkitInstall
from buildtool.probe.sighting import dotted

TIMEOUT_S = 4.0
CUDA_VARIABLES = ("CUDA_PATH", "CUDA_HOME", "CUDAToolkit_ROOT", "CUDA_ROOT")
# A wrapper script named nvcc (in /usr/local/bin, say) has neither of these beside it.
CUDA_MARKS = (("bin", "nvcc.profile"), ("include", "cuda_runtime.h"))
# Debian's packages put the headers of /usr/lib/nvidia-cuda-toolkit into /usr/include.
HEADERS: dict[str, dict[str, tuple[str, ...]]] = {
    "cuda": {"cuBLAS": ("cublas_v2.h",)},
    "rocm": {"hipBLAS": ("hipblas", "hipblas.h"), "rocBLAS": ("rocblas", "rocblas.h")},
    "vulkan": {"Vulkan-Headers": ("vulkan", "vulkan.hpp"), "SPIRV-Headers": ("spirv", "unified1", "spirv.hpp")},
}
ROCM_VARIABLES = ("ROCM_PATH", "ROCM_HOME", "HIP_PATH")


class HipConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``hipconfig`` prints."""

    hip_version: str | None = None
    hip_path: str | None = None
    rocm_path: str | None = None
    clang_path: str | None = None
    platform: str | None = None


class Nvcc(msgspec.Struct, frozen=True, kw_only=True):
    """What ``nvcc --version`` prints: ``12.8`` and ``12.8.93``."""

    release: str
    version: str


def parse_nvcc(text: str) -> Nvcc | None:
    """Read ``nvcc --version``; None when it is not that."""
    match = re.search(r"Cuda compilation tools, release (\d{1,2}\.\d), V(\d{1,2}\.\d\.\d{1,4})", text, re.ASCII)
    return Nvcc(release=match[1], version=match[2]) if match else None


def parse_hipconfig(text: str) -> HipConfig | None:
    """Read ``hipconfig``; None when it is not that."""
    version = re.search(r"^HIP version\s*: (\d[\w.\-+]{0,60})\s*$", text, re.MULTILINE | re.ASCII)
    if version is None:
        return None

    def value(key: str) -> str | None:
        match = re.search(rf"^{key}\s*: (\S[^\n]{{0,400}}?)\s*$", text, re.MULTILINE)
        return match[1] if match else None

    return HipConfig(
        hip_version=version[1],
        hip_path=value("HIP_PATH"),
        rocm_path=value("ROCM_PATH"),
        clang_path=value("HIP_CLANG_PATH"),
        platform=value("HIP_PLATFORM"),
    )


def cuda_version_file(machine: Machine, root: str) -> str | None:
    """Read a toolkit's own version file: ``version.json`` (CUDA 11.1 and later) or ``version.txt``."""
    text = machine.read_text(join(machine, root, "version.json"))
    if text is not None:
        try:
            content = msgspec.json.decode(text, type=dict[str, dict[str, str]])
        except (msgspec.DecodeError, RecursionError):
            content = {}
        version = dotted(content.get("cuda", {}).get("version"))
        if version is not None:
            return version
    text = machine.read_text(join(machine, root, "version.txt")) or ""
    match = re.match(r"CUDA Version (\d[\d.]*)", text)
    return dotted(match[1]) if match else None


def cuda_toolkits(machine: Machine) -> tuple[ToolkitInstall, ...]:
    """Find CUDA toolkits: environment, nvcc on PATH, then the usual places."""
    found: list[ToolkitInstall] = []
    for root in _distinct(machine, _cuda_roots(machine)):
        nvcc = join(machine, root, "bin", program_name(machine, "nvcc"))
        compiler = nvcc if machine.exists(nvcc) else None
        version = cuda_version_file(machine, root)
        if version is None and not any(machine.exists(join(machine, root, *mark)) for mark in CUDA_MARKS):
            continue
        if compiler is not None and version is None:
            output = machine.run((compiler, "--version"), TIMEOUT_S)
            stated = parse_nvcc(output.text) if output else None
            version = stated.version if stated else None
        if compiler is not None or version is not None:
            lacks = _lacks(machine, "cuda", root)
            found.append(ToolkitInstall(kind="cuda", version=version, path=root, compiler=compiler, lacks=lacks))
    return tuple(found)


def _cuda_roots(machine: Machine) -> Iterable[str]:
    yield from _from_environment(machine, CUDA_VARIABLES)
    nvcc = machine.which("nvcc")
    real = machine.real_path(nvcc) if nvcc else ""
    # A compiler cache may pose as nvcc; its real path is then the cache's own.
    if basename(machine, real).startswith("nvcc"):
        yield dirname(machine, dirname(machine, real))
    yield from _children(machine, "/usr/local", r"cuda(-\d[\d.]*)?")
    yield from _children(machine, "/opt", r"cuda(-\d[\d.]*)?")
    if machine.system == "windows":
        yield from _children(machine, r"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA", r"v\d[\d.]*")


def rocm_toolkits(machine: Machine) -> tuple[ToolkitInstall, ...]:
    """Find ROCm installations and Windows HIP SDKs."""
    found: list[ToolkitInstall] = []
    for root in _distinct(machine, _rocm_roots(machine)):
        version = (machine.read_text(join(machine, root, ".info", "version")) or "").strip().partition("-")[0]
        compiler = _rocm_clang(machine, root)
        if not version:
            hipconfig = join(machine, root, "bin", program_name(machine, "hipconfig"))
            output = machine.run((hipconfig,), TIMEOUT_S) if machine.exists(hipconfig) else None
            stated = parse_hipconfig(output.text) if output else None
            version = (stated.hip_version or "") if stated else ""
            if compiler is None and stated is not None and stated.clang_path:
                compiler = _existing(machine, join(machine, stated.clang_path, program_name(machine, "clang++")))
        if version:
            lacks = _lacks(machine, "rocm", root)
            found.append(ToolkitInstall(kind="rocm", version=version, path=root, compiler=compiler, lacks=lacks))
    return tuple(found)


def _rocm_roots(machine: Machine) -> Iterable[str]:
    yield from _from_environment(machine, ROCM_VARIABLES)
    hipconfig = machine.which("hipconfig")
    if hipconfig is not None:
        yield dirname(machine, dirname(machine, machine.real_path(hipconfig)))
    yield from _children(machine, "/opt", r"rocm(-\d[\d.]*)?")
    if machine.system == "windows":
        yield from _children(machine, r"C:\Program Files\AMD\ROCm", r"\d[\d.]*")


def _rocm_clang(machine: Machine, root: str) -> str | None:
    name = program_name(machine, "clang++")
    for folder in (("llvm", "bin"), ("lib", "llvm", "bin"), ("bin",)):
        compiler = _existing(machine, join(machine, root, *folder, name))
        # /usr/bin/clang++ is the system's compiler, not ROCm's.
        if compiler is not None and (folder != ("bin",) or machine.system == "windows"):
            return compiler
    return None


def vulkan_toolkits(machine: Machine) -> tuple[ToolkitInstall, ...]:
    """Find Vulkan SDKs: ``VULKAN_SDK``, then glslc on PATH together with the headers."""
    found: list[ToolkitInstall] = []
    glslc = machine.which("glslc")
    roots = list(_from_environment(machine, ("VULKAN_SDK",)))
    roots += [dirname(machine, dirname(machine, machine.real_path(glslc)))] if glslc else []
    for root in _distinct(machine, roots):
        header = machine.read_text(join(machine, root, "include", "vulkan", "vulkan_core.h"), 64 << 10)
        folder = "Bin" if machine.system == "windows" else "bin"
        compiler = _existing(machine, join(machine, root, folder, program_name(machine, "glslc")))
        if compiler is not None or header is not None:
            version, lacks = parse_vulkan_header(header or ""), _lacks(machine, "vulkan", root)
            found.append(ToolkitInstall(kind="vulkan", version=version, path=root, compiler=compiler, lacks=lacks))
    return tuple(found)


def parse_vulkan_header(text: str) -> str | None:
    """Read the version of ``vulkan_core.h``, such as ``1.4.313``."""
    patch = re.search(r"#define VK_HEADER_VERSION (\d{1,4})\b", text, re.ASCII)
    whole = re.search(r"#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION\(0, (\d), (\d{1,2}),", text, re.ASCII)
    return f"{whole[1]}.{whole[2]}.{patch[1]}" if patch and whole else None


def _lacks(machine: Machine, kind: str, root: str) -> tuple[str, ...]:
    """Name the libraries of a toolkit whose headers are in none of its include folders."""
    folders = [join(machine, root, "include")]
    targets = join(machine, root, "targets")
    folders += [join(machine, targets, name, "include") for name in machine.list_dir(targets)]
    folders += ["/usr/include"] if root.startswith("/usr/lib/") else []
    return tuple(
        name
        for name, header in HEADERS[kind].items()
        if not any(machine.exists(join(machine, folder, *header)) for folder in folders)
    )


def _from_environment(machine: Machine, variables: tuple[str, ...]) -> Iterable[str]:
    return (machine.environ[name] for name in variables if machine.environ.get(name))


def _children(machine: Machine, folder: str, pattern: str) -> Iterable[str]:
    names = [name for name in machine.list_dir(folder) if re.fullmatch(pattern, name)]
    return (join(machine, folder, name) for name in names)


def _existing(machine: Machine, path: str) -> str | None:
    return path if machine.exists(path) else None


def _distinct(machine: Machine, roots: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for root in roots:
        real = machine.real_path(root)
        if real not in seen and machine.exists(root):
            seen.add(real)
            yield root.rstrip("/\\") or root


FINDERS: dict[str, Callable[[Machine], tuple[ToolkitInstall, ...]]] = {
    "cuda": cuda_toolkits,
    "rocm": rocm_toolkits,
    "vulkan": vulkan_toolkits,
}
