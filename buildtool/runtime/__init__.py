"""Which vendor libraries must travel along? Their closed set, read from the binaries themselves.

With ``--runtime pip`` the vendor's own wheels bring them and the set is empty; with ``system`` the target machine has
them; with ``bundle`` they are copied beside the backend module, each with its licence.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan
from buildtool.errors import BuildError
from buildtool.toolchain.model import Toolchain

__all__ = ["RuntimeSet", "VendorLibrary", "collect"]

MODULES = {"cuda": "libggml-cuda.so", "rocm": "libggml-hip.so", "vulkan": "libggml-vulkan.so"}
# The driver's own libraries belong to the machine: a copy from another driver would not work.
FROM_THE_DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1", "libvulkan.so.1")


class VendorLibrary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library to ship: the name it is loaded by, where it is now, and its size in bytes."""

    soname: str
    path: str
    bytes: int


class RuntimeSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must travel beside a backend module: libraries, and the licence texts they come under."""

    libraries: tuple[VendorLibrary, ...] = ()
    licences: tuple[str, ...] = ()


def collect(plan: Plan, toolchain: Toolchain, tree: BuildTree) -> RuntimeSet:
    """Return the libraries of the toolkit that the backend module loads, directly or through another.

    Raises:
        BuildError: the toolkit's licence text cannot be found, so its libraries must not be copied.
    """
    if plan.runtime != "bundle" or plan.backend == "cpu" or toolchain.root is None:
        return RuntimeSet()
    root = Path(toolchain.root)
    folders = [folder for name in ("lib64", "lib", "targets/x86_64-linux/lib") if (folder := root / name).is_dir()]
    found: dict[str, Path] = {}
    pending = list(needed(Path(tree.path) / "bin" / MODULES[plan.backend]))
    while pending:
        soname = pending.pop()
        if soname in found or soname in FROM_THE_DRIVER:
            continue
        path = next((folder / soname for folder in folders if (folder / soname).is_file()), None)
        if path is not None:
            found[soname] = path
            pending.extend(needed(path))
    libraries = tuple(
        VendorLibrary(soname=name, path=str(path.resolve()), bytes=path.stat().st_size)
        for name, path in sorted(found.items())
    )
    return RuntimeSet(libraries=libraries, licences=_licences(root) if libraries else ())


def needed(binary: Path) -> Iterable[str]:
    """Return the names of the libraries that an ELF file loads at start (its DT_NEEDED entries)."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with binary.open("rb") as handle:
        for section in ELFFile(handle).iter_sections(type="SHT_DYNAMIC"):
            if isinstance(section, DynamicSection):
                return [str(tag.needed) for tag in section.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]  # set by name
    return []


def _licences(root: Path) -> tuple[str, ...]:
    """Find the vendor's licence texts: in the toolkit, or in the dist-info folders of the wheels it was made from."""
    beside = [path for path in root.parent.parent.glob("*.dist-info/licenses/*") if path.is_file()]
    inside = [root / name for name in ("EULA.txt", "LICENSE", "share/doc/rocm/LICENSE") if (root / name).is_file()]
    texts = tuple(sorted(str(path) for path in (*inside, *beside)))
    if not texts:
        what = f"The toolkit in {root} carries no licence text, so its libraries cannot be bundled."
        raise BuildError(what, hint="Use --runtime pip or --runtime system.")
    return texts
