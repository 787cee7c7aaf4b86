"""A CUDA toolkit assembled from NVIDIA's wheels, with what a build still misses there."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from buildtool.compat.model import Pin, PlanCompiler, PlanToolkit
from buildtool.errors import IntegrityError
from buildtool.process import run
from buildtool.store.archive import unpack
from buildtool.store.download import Downloads, locate
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.index import Index
from buildtool.store.progress import Progress
from buildtool.toolchain.stub import build_stub

KIND = "cuda"
LAYOUT = "1"  # part of every key: a change in what is added to the wheels makes new entries
NVCC_TIMEOUT_S = 60.0


def entry_key(version: str, pins: tuple[Pin, ...]) -> str:
    """Return the store key of a toolkit: its version and a digest of its wheels."""
    identity = "\n".join([LAYOUT, *sorted(pin.sha256 for pin in pins)])
    return f"{version}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def toolkit_root(content: Path) -> Path:
    """Return the toolkit's root inside an entry: the wheels unpack below ``nvidia/cu13/``.

    Raises:
        IntegrityError: they did not.
    """
    for path in sorted(content.glob("nvidia/cu*")):
        if path.is_dir():
            return path
    what = f"{content} holds no CUDA toolkit."
    raise IntegrityError(what, why="Its wheels have no folder nvidia/cu<version>.")


def assemble(toolkit: PlanToolkit, cc: str, *, store: Store, progress: Progress | None = None) -> Entry:
    """Return the toolkit's store entry, fetching and assembling it first when it is not there.

    Args:
        toolkit: a CUDA toolkit with `pins`.
        cc: host C compiler, for the driver stub.
        store: where to.
        progress: told about downloads, unpacking and waiting.

    Raises:
        NetworkError: a wheel cannot be fetched.
        IntegrityError: a wheel is not the pinned one, or the result does not answer as nvcc of that version.
        StorageError: the store is full or cannot be written.
    """

    def fill(content: Path) -> Filled:
        with Index() as index:
            downloads = Downloads(index, progress=progress)
            for pin in toolkit.pins:
                with downloads.fetched(locate(index, pin.name, pin.filename, pin.sha256)) as wheel:
                    unpack(wheel, content, progress=progress)
        root = toolkit_root(content)
        complete(root, cc)
        check_nvcc(root, toolkit.version)
        names = ", ".join(f"{pin.name} {pin.version}" for pin in toolkit.pins)
        return Filled(origin="package registry", facts={"version": toolkit.version, "wheels": names})

    key = entry_key(toolkit.version, toolkit.pins)
    return store.ensure(KIND, key, fill, read_only=True, progress=progress)


def complete(root: Path, cc: str) -> None:
    """Add what CMake and the linker look for: ``lib64``, unversioned library names, the driver stub."""
    if sys.platform == "win32":
        return  # the Windows wheels hold import libraries, also the driver's
    lib = root / "lib"
    if not (root / "lib64").exists():
        (root / "lib64").symlink_to("lib")
    for library in sorted(lib.glob("lib*.so.*")):
        plain = lib / f"{library.name.partition('.so.')[0]}.so"
        if not plain.exists():
            plain.symlink_to(library.name)
    stub = lib / "stubs" / "libcuda.so"
    if not stub.exists():
        build_stub(root / "include" / "cuda.h", stub, cc)


def nvcc_path(root: Path) -> Path:
    """Return where a CUDA toolkit keeps its compiler."""
    return root / "bin" / ("nvcc.exe" if sys.platform == "win32" else "nvcc")


def cuda_options(root: Path, compiler: PlanCompiler) -> dict[str, str]:
    """Return the CMake options for a CUDA toolkit and its host compiler."""
    return {
        "CMAKE_CUDA_COMPILER": str(nvcc_path(root)),
        "CUDAToolkit_ROOT": str(root),
        "CMAKE_CUDA_HOST_COMPILER": compiler.cxx,
    }


def nvcc_version(root: Path) -> str:
    """Return the full version nvcc reports, such as ``13.0.88``; "" when its answer is not understood.

    Raises:
        MissingToolError: there is no nvcc.
        ProcessError: it does not run.
    """
    answer = run([str(nvcc_path(root)), "--version"], timeout_s=NVCC_TIMEOUT_S).output
    found = re.search(r"\bV(\d+\.\d+\.\d+)", answer) or re.search(r"release (\d+\.\d+)", answer)
    return found[1] if found else ""


def check_nvcc(root: Path, version: str) -> None:
    """Check that the compiler in `root` runs and is of `version` (or of a release of it: ``13.0``).

    Raises:
        IntegrityError: it is another version.
    """
    found = nvcc_version(root)
    if found != version and not found.startswith(f"{version}."):
        what = f"The CUDA compiler in {root} is not version {version}."
        raise IntegrityError(what, why=f"It calls itself {found or 'nothing that is understood'}.")
