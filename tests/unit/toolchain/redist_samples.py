"""A make-believe server of NVIDIA's redistributables, in the form of its real manifests and archives."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

from file_server import FileServer
from toolkit_samples import HEADER, nvcc

RELEASE, NVCC = "12.4.1", "12.4.131"
PARTS: dict[str, tuple[str, dict[str, bytes]]] = {
    "cuda_nvcc": (NVCC, {"bin/nvcc": nvcc(NVCC), "nvvm/bin/cicc": b"cicc", "include/fatbinary_section.h": b"//"}),
    "cuda_cudart": ("12.4.127", {"include/cuda.h": HEADER.encode(), "lib/libcudart.so.12": b"elf",
                                 "lib/stubs/libcuda.so": b"NVIDIA's own"}),
    "cuda_cccl": ("12.4.127", {"include/cub/cub.cuh": b"//"}),
    "libcublas": ("12.4.5.8", {"lib/libcublas.so.12": b"elf", "lib/libcublasLt.so.12": b"elf"}),
}  # fmt: skip


def archive(top: str, files: dict[str, bytes], licence: str = "EULA") -> bytes:
    """Return a tar.xz with one top folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        for name, content in {"LICENSE": licence.encode(), **files}.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = len(content), 0o755 if name.startswith(("bin/", "nvvm/bin/")) else 0o644
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Redist:
    """The folder ``/redist/`` of a web server."""

    def __init__(self, server: FileServer) -> None:
        """Serve the release `RELEASE`, and list it beside others."""
        self.server, self.url = server, f"{server.url}/redist"
        self.manifest: dict[str, object] = {
            "release_date": "2024-04-03", "release_label": RELEASE, "release_product": "cuda",
        }  # fmt: skip
        for name in PARTS:
            self.part(name)
        self.publish()
        self.list(RELEASE, "12.4.0", "11.8.0", "12.9.1")

    def part(self, name: str, **changes: bytes) -> None:
        """Serve a component, with other files than usual (``_`` in a name means ``/``)."""
        version, files = PARTS[name]
        top = f"{name}-linux-x86_64-{version}-archive"
        licence = "EULA" if name != "cuda_cccl" else "other words"
        content = archive(top, files | {key.replace("_", "/"): value for key, value in changes.items()}, licence)
        path = f"{name}/linux-x86_64/{top}.tar.xz"
        self.server.add(f"/redist/{path}", content)
        self.manifest[name] = {
            "name": name,
            "license": "CUDA Toolkit",
            "license_path": f"{name}/LICENSE.txt",
            "version": version,
            "linux-x86_64": {
                "relative_path": path,
                "sha256": hashlib.sha256(content).hexdigest(),
                "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "size": str(len(content)),
            },
        }

    def publish(self, release: str = RELEASE) -> None:
        """Serve the manifest as it now is."""
        self.server.add(f"/redist/redistrib_{release}.json", json.dumps(self.manifest).encode())

    def list(self, *releases: str) -> None:
        """Show a folder that holds the manifests of these releases."""
        links = "".join(f"<a href='redistrib_{one}.json'>redistrib_{one}.json</a><br>\n" for one in releases)
        page = f"<html><body><a href='../'>..</a> <a href='cuda_nvcc/'>cuda_nvcc/</a>\n{links}</body></html>"
        self.server.add("/redist/", page.encode(), content_type="text/html")

    def archive_path(self, name: str) -> str:
        """Return the path of a component's archive on the server."""
        return next(path for path in self.server.pages if path.startswith(f"/redist/{name}/"))
