"""Recorded trees: the folders of an installed Ollama as its installers leave them, with small real device code inside.

The modules are ELF files whose device sections hold code objects' headers and fat binaries made by nvcc; the
programs are empty, so that nothing of a tree can be run.
"""

from __future__ import annotations

from pathlib import Path

from codeobj_hosts import hip_bundle, shared_object, windows_library
from codeobj_samples import FIXTURES, library

from buildtool.probe.model import Device

UNIT = """[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3
Environment="PATH=/usr/local/bin:/usr/bin:/bin"

[Install]
WantedBy=default.target
"""
SERVER_LOG = """time=2026-09-20T10:00:00.000+02:00 level=INFO msg="Listening on 127.0.0.1:11434 (version 0.34.1)"
time=2026-09-20T10:00:00.100+02:00 level=INFO source=runner.go:67 msg="discovering available GPUs..."
time=2026-09-20T10:00:02.000+02:00 level=INFO source=types.go:42 msg="inference compute" id=0 library=Vulkan \
compute=0.0 name=Vulkan0 description="AMD Radeon RX 6600" libdirs=ollama,vulkan pci_id=0000:03:00.0 \
type=discrete total="8.0 GiB" available="7.1 GiB"
"""
PASSWD = "root:x:0:0:root:/root:/bin/bash\nollama:x:998:998::/usr/share/ollama:/bin/false\n"
GROUP = "root:x:0:\nvideo:x:44:ollama\nrender:x:105:ollama\nollama:x:998:\n"

RX6600 = Device(vendor="amd", name="AMD Radeon RX 6600", target="gfx1032", source="kfd", integrated=False)
RX6800 = Device(vendor="amd", name="AMD Radeon RX 6800 XT", target="gfx1030", source="kfd", integrated=False)
RADEON_IGPU = Device(vendor="amd", name="AMD Radeon 680M", target="gfx1035", source="kfd", integrated=True)
H100 = Device(
    vendor="nvidia", name="NVIDIA H100", target="sm_90", compute_capability="9.0", source="nvml", integrated=False
)
RTX3060 = Device(
    vendor="nvidia", name="RTX 3060", target="sm_86", compute_capability="8.6", source="nvml", integrated=False
)
ARC = Device(vendor="intel", name="Arc A770", source="lspci", integrated=False)


def write(place: Path, content: bytes | str = b"") -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def hip_module(*targets: str) -> bytes:
    return shared_object([hip_bundle(*targets)])


def cuda_module() -> bytes:
    """A library with code for sm_75, sm_90, sm_90a, sm_100a, sm_100f and PTX."""
    return library({".nv_fatbin": (FIXTURES / "targets.fatbin").read_bytes()})


def rocm_runner(folder: Path, *targets: str, tables: tuple[str, ...] | None = None) -> Path:
    write(folder / "libggml-hip.so", hip_module(*targets))
    write(folder / "libamdhip64.so.7", library({".text": b"host code"}))
    write(folder / "librocblas.so.5", hip_module(*targets))
    for chip in targets if tables is None else tables:
        write(folder / f"rocblas/library/TensileLibrary_lazy_{chip}.dat", b"\x81\xa1a\x01")
        write(folder / f"rocblas/library/Kernels.so-000-{chip}.hsaco", hip_bundle(chip))
    write(folder / "rocblas/library/TensileLibrary_Type_fallback.dat", b"\x81\xa1a\x01")
    return folder


def cuda_runner(folder: Path) -> Path:
    write(folder / "libggml-cuda.so", cuda_module())
    write(folder / "libcudart.so.13", library({".text": b"host code"}))
    return folder


def linux(root: Path, *, prefix: str = "usr/local", unit: str = UNIT) -> Path:
    """An Ollama of 0.30 or newer, as its install script leaves it."""
    base = root / prefix
    write(base / "bin/ollama").chmod(0o755)
    lib = base / "lib/ollama"
    for name in ("llama-server", "libggml-base.so.0", "libggml.so.0", "libllama.so.0", "libggml-cpu-haswell.so"):
        write(lib / name)
    cuda_runner(lib / "cuda_v13")
    rocm_runner(lib / "rocm_v7_2", "gfx1030", "gfx1100")
    write(lib / "vulkan/libggml-vulkan.so", b"\x7fELF")
    write(lib / "mlx_cuda_v13/libmlx.so", b"\x7fELF")
    if unit:
        write(root / "etc/systemd/system/ollama.service", unit)
    write(root / "etc/passwd", PASSWD)
    write(root / "etc/group", GROUP)
    write(root / "usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/smollm2/135m", "{}")
    return root


def windows(root: Path) -> Path:
    """An Ollama on Windows, as its installer leaves it for one user."""
    base = root / "C/Users/Ada/AppData/Local/Programs/Ollama"
    write(base / "ollama.exe")
    write(base / "ollama app.exe")
    write(base / "lib/ollama/llama-server.exe")
    write(base / "lib/ollama/ggml-base.dll")
    write(base / "lib/ollama/vulkan/ggml-vulkan.dll", b"MZ")
    write(base / "lib/ollama/rocm_v7_1/ggml-hip.dll", windows_library([hip_bundle("gfx1030")]))
    write(base / "lib/ollama/rocm_v7_1/rocblas/library/TensileLibrary_lazy_gfx1030.dat", b"\x81\xa1a\x01")
    write(root / "C/Users/Ada/AppData/Local/Ollama/server.log", SERVER_LOG)
    return root


def macos(root: Path) -> Path:
    base = root / "Applications/Ollama.app/Contents/Resources"
    write(base / "ollama")
    write(base / "llama-server")
    write(base / "libggml-base.dylib")
    write(root / "Users/ada/.ollama/logs/server.log", "nothing of note\n")
    return root


def old(root: Path) -> Path:
    """An Ollama before 0.30: its own ggml, one folder for each maker's library."""
    base = root / "usr/local"
    write(base / "bin/ollama").chmod(0o755)
    write(base / "lib/ollama/libggml-base.so")
    cuda_runner(base / "lib/ollama/cuda_v12")
    rocm_runner(base / "lib/ollama/rocm", "gfx1030")
    return root
