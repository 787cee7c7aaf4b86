"""Wheels made by hand: whole as far as an installer looks, with a module that tells targets."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

VERSION = "0.5.0.dev0+lcp0.3.36.portable"


def make_wheel(
    folder: Path,
    name: str,
    version: str = VERSION,
    *,
    tag: str = "manylinux_2_34_x86_64",
    targets: tuple[str, ...] | None = None,
    requires: tuple[str, ...] = (),
    content: str = "",
) -> Path:
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: >=3.9\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    module = f"TARGETS = {targets!r}\n" if targets is not None else ""
    files = {
        f"{package}/__init__.py": f"{module}# {content}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-{tag}\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{version}-py3-none-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for inside, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{inside},sha256={digest},{len(text.encode())}")
            archive.writestr(zipfile.ZipInfo(inside), text)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


def runtime(folder: Path, *, tag: str = "manylinux_2_34_x86_64", content: str = "") -> Path:
    return make_wheel(folder, "gpubuild-llama", tag=tag, content=content)


def backend(
    folder: Path,
    family: str,
    targets: tuple[str, ...] = (),
    *,
    label: str = "",
    tag: str = "manylinux_2_34_x86_64",
    requires: tuple[str, ...] = (),
) -> Path:
    words = ".".join(filter(None, [VERSION, label, *(target.replace("_", "") for target in targets)]))
    needs = (f"gpubuild-llama=={VERSION}", *requires)
    return make_wheel(folder, f"gpubuild-llama-{family}", words, tag=tag, targets=targets, requires=needs)


def everything(folder: Path) -> Path:
    """A folder with a runtime and a backend of each kind."""
    runtime(folder)
    backend(folder, "cuda13", ("sm_89", "sm_90"), label="cu130")
    backend(folder, "cuda13", ("sm_120",), label="cu130")
    backend(folder, "rocm7", ("gfx1032",), label="rocm70")
    backend(folder, "vulkan", label="vulkan")
    return folder
