"""A make-believe server of AMD's TheRock: archives and wheels in the real ones' form, with a shell script for clang."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

from file_server import FileServer
from toolkit_samples import script

VERSION, FAMILY = "7.10.0", "gfx103X-dgpu"
CLANG = script("echo AMD clang version 20.0.0git")
TREE = {
    "bin/hipcc": script(""),
    "lib/llvm/bin/clang++": CLANG,
    "lib/llvm/amdgcn/bitcode/ockl.bc": b"bitcode",
    "lib/cmake/hip/hip-config.cmake": b"",
    "lib/libamdhip64.so.7": b"elf",
    "include/hip/hip_runtime.h": b"",
}
LINKS = {"lib/libamdhip64.so": "libamdhip64.so.7"}
# What gpubuild relies on of rocm-sdk: `path --root` unpacks devel beside the other packages and prints the place.
PROGRAM = """\
import pathlib, sys, tarfile
import rocm_sdk_devel
site = pathlib.Path(rocm_sdk_devel.__file__).parent.parent
archive = site / "rocm_sdk_devel" / "_devel.tar.xz"
if archive.exists():
    with tarfile.open(archive) as tar:
        tar.extractall(site)
    archive.unlink()
assert sys.argv[1:] == ["path", "--root"]
print(site / "_rocm_sdk_devel")
"""


def tree_tar(files: dict[str, bytes], links: dict[str, str], mode: str, top: str = "") -> bytes:
    """Return a tar of a tree; programs are executable."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"{top}{name}")
            member.size, member.mode = len(content), 0o755 if "/bin/" in f"/{name}" else 0o644
            tar.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(f"{top}{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return out.getvalue()


class TheRock:
    """The folder ``/tarball/`` of a web server, and the index ``/simple/``."""

    def __init__(self, server: FileServer) -> None:
        """Serve a release, and list others."""
        self.server, self.url, self.index = server, f"{server.url}/tarball", f"{server.url}/simple"
        self.archive = self.publish(FAMILY, VERSION)
        self.list(
            f"linux-{FAMILY}-{VERSION}", f"linux-{FAMILY}-7.9.0rc1", "linux-gfx1151-7.11.0a20251120",
            "windows-gfx1151-7.11.0", "linux-multiarch-6.4.0.dev0+e015c807",
        )  # fmt: skip

    def publish(self, family: str, version: str, files: dict[str, bytes] | None = None) -> str:
        """Serve an archive; return its path."""
        path = f"/tarball/therock-dist-linux-{family}-{version}.tar.gz"
        self.server.add(path, tree_tar(TREE if files is None else files, LINKS, "w:gz"))
        return path

    def sum(self, ending: str = ".sha256sum", digest: str = "") -> None:
        """Serve the archive's sum beside it."""
        true = hashlib.sha256(self.server.pages[self.archive].content).hexdigest()
        name = self.archive.rpartition("/")[2]
        self.server.add(self.archive + ending, f"{digest or true}  {name}\n".encode())

    def list(self, *names: str) -> None:
        """Show a bucket that holds these archives."""
        keys = "".join(f"<Contents><Key>therock-dist-{name}.tar.gz</Key></Contents>" for name in names)
        page = f'<?xml version="1.0"?><ListBucketResult>{keys}<Key>index.html</Key></ListBucketResult>'
        self.server.add("/tarball/", page.encode(), content_type="application/xml")

    def wheels(self, version: str = VERSION, family: str = FAMILY) -> None:
        """Serve the packages of a release."""
        source = tree_tar({"setup.py": b"raise SystemExit('never built')", "src/rocm_sdk/__init__.py": b"",
                           "src/rocm_sdk/__main__.py": PROGRAM.encode()}, {}, "w:gz", f"rocm-{version}/")  # fmt: skip
        self.server.add_package("rocm", f"rocm-{version}.tar.gz", source)
        shared = {"lib/libamdhip64.so.7", "lib/llvm/bin/clang++"}
        core = {f"_rocm_sdk_core/{name}": TREE[name] for name in shared}
        own = {name: content for name, content in TREE.items() if name not in shared}
        links = {name: "../" * (name.count("/") + 1) + f"_rocm_sdk_core/{name}" for name in shared} | LINKS
        devel = tree_tar(own, links, "w:xz", "_rocm_sdk_devel/")
        content = {
            "rocm-sdk-core": core | {"rocm_sdk_core/__init__.py": b""},
            f"rocm-sdk-libraries-{family}": {"_rocm_sdk_libraries/lib/librocblas.so.5": b"elf"},
            "rocm-sdk-devel": {"rocm_sdk_devel/__init__.py": b"", "rocm_sdk_devel/_devel.tar.xz": devel},
        }
        for name, files in content.items():
            flat = name.replace("-", "_")
            filename = f"{flat}-{version}-py3-none-linux_x86_64.whl"
            self.server.add_package(name.lower(), filename, wheel(files, f"{flat}-{version}.dist-info"))
        links_page = "".join(f'<a href="{name.lower()}/">{name}</a>' for name in ("rocm", *content))
        self.server.add("/simple/", f"<!DOCTYPE html>{links_page}".encode(), content_type="text/html")


def wheel(files: dict[str, bytes], info: str) -> bytes:
    """Return a wheel with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, content in {**files, f"{info}/METADATA": b"Name: x\n", f"{info}/RECORD": b""}.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (0o100755 if "/bin/" in name else 0o100644) << 16
            bundle.writestr(entry, content)
    return out.getvalue()
