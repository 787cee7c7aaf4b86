"""An archive in the form of AMD's TheRock (no top folder; include, lib, lib/llvm), made of Debian's ROCm packages."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

# Those of Debian 12: LLVM 15 and ROCm 5.2, which this machine's own C library runs.
PACKAGES = (
    "clang-15", "clang-tools-15", "libclang-cpp15", "libllvm15", "libclang-common-15-dev", "lld-15", "rocm-device-libs",
    "libamdhip64-dev", "libamdhip64-5",
)  # fmt: skip
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PROGRAMS = ("clang-15", "clang", "clang++", "clang-offload-bundler", "lld", "ld.lld")


def make(work: Path, archive: Path) -> None:
    """Fetch the packages below `work` and write the archive."""
    debs, root, tree = work / "debs", work / "root", work / "tree"
    for folder in (debs, root, tree / "lib/llvm/bin", tree / "lib/llvm/lib", tree / "bin"):
        folder.mkdir(parents=True)
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=debs, check=True, capture_output=True)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
    for name in PROGRAMS:
        shutil.copy(root / "usr/lib/llvm-15/bin" / name, tree / "lib/llvm/bin" / name, follow_symlinks=False)
    shutil.copytree((root / "usr/lib/llvm-15/lib/clang").resolve(), tree / "lib/llvm/lib/clang", symlinks=False)
    for library in (*(root / LIBRARIES).glob("lib*.so*"), *(root / "usr/lib/llvm-15/lib").glob("lib*.so*")):
        if library.is_symlink() and "/" in str(library.readlink()):
            continue  # into the other folder
        folder = tree / ("lib" if library.name.startswith("libamdhip64") else "lib/llvm/lib")
        shutil.copy(library, folder / library.name, follow_symlinks=False)
    shutil.copytree(root / LIBRARIES / "amdgcn", tree / "lib/llvm/amdgcn")
    shutil.copytree(root / LIBRARIES / "cmake", tree / "lib/cmake")
    shutil.copytree(root / "usr/include/hip", tree / "include/hip")
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for one in sorted(tree.iterdir()):
            tar.add(one, one.name)
    shutil.rmtree(work)
