"""A server's folder in the form of NVIDIA's redistributables, its archives made of NVIDIA's own wheels.

The form is that of ``redistrib_13.0.2.json``: one archive for each component, with one top folder
``<component>-linux-x86_64-<version>-archive`` that holds LICENSE and a part of the toolkit.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import shutil
import socket
import tarfile
import time
import urllib.request
import zipfile
from pathlib import Path

from buildtool.compat.model import Pin
from buildtool.store.download import Downloads, locate
from buildtool.store.index import Index

COMPONENTS = {
    "nvidia-cuda-nvcc": ("cuda_nvcc", "CUDA NVCC"),
    "nvidia-cuda-runtime": ("cuda_cudart", "CUDA Runtime (cudart)"),
    "nvidia-cuda-cccl": ("cuda_cccl", "CXX Core Compute Libraries"),
    "nvidia-cublas": ("libcublas", "CUDA cuBLAS"),
    "nvidia-cuda-crt": ("cuda_crt", "CUDA CRT"),
    "nvidia-nvvm": ("libnvvm", "CUDA NVVM"),
}


def make(folder: Path, release: str, pins: tuple[Pin, ...]) -> None:
    """Write the manifest and the archives of a release below `folder`."""
    manifest: dict[str, object] = {
        "release_date": "2025-10-09", "release_label": release, "release_product": "cuda",
    }  # fmt: skip
    with Index() as index:
        downloads = Downloads(index)
        for pin in pins:
            component, title = COMPONENTS[pin.name]
            path = f"{component}/linux-x86_64/{component}-linux-x86_64-{pin.version}-archive.tar.xz"
            (folder / path).parent.mkdir(parents=True)
            with downloads.fetched(locate(index, pin.name, pin.filename, pin.sha256)) as wheel:
                repack(wheel, folder / path)
            manifest[component] = {
                "name": title,
                "license": "CUDA Toolkit",
                "license_path": f"{component}/LICENSE.txt",
                "version": pin.version,
                "linux-x86_64": describe(folder / path, path),
            }
    (folder / f"redistrib_{release}.json").write_text(json.dumps(manifest, indent=4), encoding="utf-8")


def describe(archive: Path, path: str) -> dict[str, str]:
    """Return what a manifest says of an archive."""
    content = archive.read_bytes()
    return {
        "relative_path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "size": str(len(content)),
    }


def repack(wheel: Path, archive: Path) -> None:
    """Write the toolkit's part of a wheel as an archive with one top folder and the licence in it."""
    top = archive.name.removesuffix(".tar.xz")
    with (
        zipfile.ZipFile(wheel) as bundle,
        lzma.open(archive, "wb", preset=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for info in bundle.infolist():
            head, _, rest = info.filename.partition("/cu13/")
            name = rest if head == "nvidia" else "LICENSE" if info.filename.endswith("licenses/License.txt") else ""
            if not name or info.is_dir():
                continue
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = info.file_size, (info.external_attr >> 16) & 0o777 or 0o644
            with bundle.open(info) as content:
                if member.size < 1 << 20:
                    tar.addfile(member, io.BytesIO(content.read()))
                else:
                    tar.addfile(member, content)


def remove(folder: Path) -> None:
    """Give the space back."""
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of the loopback that nobody uses just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def await_server(url: str) -> None:
    """Wait until a server answers.

    Raises:
        TimeoutError: it does not within ten seconds.
    """
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
