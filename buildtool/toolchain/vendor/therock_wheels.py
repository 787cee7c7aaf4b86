"""ROCm from AMD's TheRock wheels: ``rocm[libraries,devel]`` of an index that the user names, never of a public one.

The packages of a release carry one version. `rocm` is a source package with the program ``rocm-sdk``; core, libraries
and devel are wheels. ``rocm-sdk path --root`` unpacks what devel brings and tells where the tree is.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from buildtool.compat.model import Pin, PlanToolkit
from buildtool.compat.vendor import is_placeholder, newest_first, therock_families
from buildtool.errors import IncompatibleError, IntegrityError, UnknownNameError
from buildtool.probe.model import Offered
from buildtool.process import run
from buildtool.store.archive import check_links, unpack
from buildtool.store.download import Downloads, Wanted, locate
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.index import Index, RemoteFile
from buildtool.store.progress import Progress
from buildtool.store.storage import delete_tree
from buildtool.toolchain.vendor.channels import THEROCK_WHEELS, required_address
from buildtool.toolchain.vendor.room import require_room
from buildtool.toolchain.vendor.server import Server, index_of, size_at
from buildtool.toolchain.vendor.therock import BOUNDS, KIND, check_clang, filled, store_key

UNPACKED = 4.0  # bytes on disk for one byte of package; an estimate, since none of AMD's was at hand
EXPAND_TIMEOUT_S = 1800.0
SITE = "site"
EVERY = "multiarch"  # of an index whose libraries are not cut by family
WHEEL_TAGS = {"linux-x86_64": ("linux_x86_64", "x86_64")}
_LIBRARIES = "rocm-sdk-libraries"


def offered(server: Server, index: Index, platform: str) -> tuple[Offered, ...]:
    """Return the releases and families that an index has for machines of `platform`, newest first.

    Raises:
        NetworkError: the index cannot be reached.
        IncompatibleError: it holds AMD's names, but only packages that reserve them.
    """
    if platform not in WHEEL_TAGS:
        return ()
    known = {family.lower(): family for family in therock_families()}
    names = {name.lower() for name in server.names()}
    families = [known[name] for name in sorted(known) if f"{_LIBRARIES}-{name}" in names]
    families += [EVERY] if _LIBRARIES in names else []
    versions = {file.version for file in index.files("rocm") if not file.yanked}
    real = [version for version in versions if not is_placeholder("rocm", version)]
    if versions and not real:
        raise _placeholders(server, sorted(versions))
    offers = [
        Offered(kind="rocm", provider="therock-wheels", version=version, family=family)
        for version in real
        for family in families
    ]
    return tuple(newest_first(offers))


def _placeholders(server: Server, versions: list[str]) -> IncompatibleError:
    what = f"{server.shown()} has no ROCm: its rocm {', '.join(versions)} only reserves the name."
    return IncompatibleError(what, hint=f"Name AMD's own index, or a copy of it, in {THEROCK_WHEELS.variable}.")


def packages(family: str) -> tuple[str, ...]:
    """Return the packages that make a toolkit of a family."""
    libraries = _LIBRARIES if family == EVERY else f"{_LIBRARIES}-{family}"
    return ("rocm", "rocm-sdk-core", libraries, "rocm-sdk-devel")


def look_up(toolkit: PlanToolkit, platform: str, *, url: str | None = None) -> tuple[Pin, ...]:
    """Return the packages of a release and family, fixed.

    Raises:
        NetworkError: nobody named an index, it cannot be reached, or has no such package.
        UnknownNameError: it has no such version.
        IncompatibleError: the version only reserves the name.
        IntegrityError: the index states no sha256.
    """
    base = required_address(THEROCK_WHEELS, url)
    with Index(index_of(THEROCK_WHEELS, base)) as index:
        return tuple(_pin(index, name, toolkit.version, platform) for name in packages(toolkit.family))


def _pin(index: Index, name: str, version: str, platform: str) -> Pin:
    files = index.files(name)
    if is_placeholder(name, version):
        what = f"{name} {version} is not AMD's ROCm: it only reserves the name in a public registry."
        raise IncompatibleError(what, hint=f"Name AMD's own index, or a copy of it, in {THEROCK_WHEELS.variable}.")
    fitting = [file for file in files if file.version == version and _fits(file, name, platform)]
    if not fitting:
        others = sorted({file.version for file in files})
        what = f"The index has no {name} {version} for {platform}."
        raise UnknownNameError(what, hint=f"It has {', '.join(others[-5:])}.")
    file = min(fitting, key=lambda one: one.filename)
    if file.sha256 is None:
        what = f"The index states no sha256 for {file.filename}."
        raise IntegrityError(what, hint="Take an index that does (PEP 503).")
    try:
        size = size_at(index, file.url)
    except OSError:
        size = 0  # the download will say why
    return Pin(name=name, version=version, filename=file.filename, sha256=file.sha256, bytes=size)


def _fits(file: RemoteFile, name: str, platform: str) -> bool:
    if name == "rocm":
        return file.filename.endswith(".tar.gz")
    return file.filename.endswith(".whl") and file.filename.removesuffix(".whl").endswith(WHEEL_TAGS[platform])


def assemble(toolkit: PlanToolkit, *, store: Store, progress: Progress | None = None, url: str | None = None) -> Entry:
    """Return the toolkit's store entry, made of its packages first when it is not there.

    Args:
        toolkit: a ROCm with `pins`.
        store: where to.
        progress: told about downloads and unpacking.
        url: the index (default: the environment's).

    Raises:
        NetworkError: nobody named an index, it cannot be reached, or a package is gone.
        IntegrityError: a package is not the pinned one, or they make no ROCm.
        StorageError: there is not enough space, or the store cannot be written.
    """

    def fill(content: Path) -> Filled:
        base = required_address(THEROCK_WHEELS, url)
        require_room(content, toolkit.pins, UNPACKED, f"ROCm {toolkit.version}")
        site = content / SITE
        site.mkdir()
        with Index(index_of(THEROCK_WHEELS, base)) as index, ExitStack() as fetched:
            downloads = Downloads(index, progress=progress)
            files = [fetched.enter_context(downloads.fetched(_wanted(index, pin))) for pin in toolkit.pins]
            for pin, path in zip(toolkit.pins, files, strict=True):
                _unpack(pin, path, site, progress)
        root = _expand(site, toolkit)
        check_links(Path(toolkit.pins[-1].filename), content)
        check_clang(root, toolkit.version)
        return filled(toolkit, THEROCK_WHEELS.title, root.relative_to(content).as_posix())

    return store.ensure(KIND, entry_key(toolkit), fill, read_only=True, progress=progress)


def entry_key(toolkit: PlanToolkit) -> str:
    """Return the store key of a ROCm made of wheels."""
    return f"{store_key(toolkit)}-wheels"


def _wanted(index: Index, pin: Pin) -> Wanted:
    return locate(index, pin.name, pin.filename, pin.sha256)


def _unpack(pin: Pin, path: Path, site: Path, progress: Progress | None) -> None:
    """Put a wheel into the folder of packages; of the source package only its Python code: nothing is compiled."""
    if path.suffix == ".whl":
        part = site.parent / "wheel"
        part.mkdir()
        unpack(path, part, bounds=BOUNDS, progress=progress)
        for one in part.iterdir():
            if (site / one.name).exists():
                what = f"{pin.filename} holds {one.name}, which another package brought."
                raise IntegrityError(what)
            one.rename(site / one.name)
    else:
        part = site.parent / "source"
        part.mkdir()
        unpack(path, part, progress=progress)
        found = list(part.glob("*/src/rocm_sdk"))
        if len(found) != 1:
            what = f"{pin.filename} holds no rocm_sdk."
            raise IntegrityError(what)
        found[0].rename(site / "rocm_sdk")
    delete_tree(part)


def _expand(site: Path, toolkit: PlanToolkit) -> Path:
    """Run ``rocm-sdk path --root``: it unpacks the development files and tells where the tree is."""
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
    if toolkit.family != EVERY:
        env["ROCM_SDK_TARGET_FAMILY"] = toolkit.family
    # The folder it starts in is not a place to import from (-P): only `site` is.
    done = run(
        [sys.executable, "-P", "-m", "rocm_sdk", "path", "--root"], cwd=site, env=env, timeout_s=EXPAND_TIMEOUT_S
    )
    lines = re.findall(r"^\s*(/.*\S)\s*$", done.output, re.MULTILINE)
    root = Path(lines[-1]).resolve() if lines else Path("/")
    if not root.is_dir() or not root.is_relative_to(site.resolve()):
        what = "rocm-sdk path --root names no tree among its packages."
        raise IntegrityError(what, details=tuple(done.output.splitlines()[-5:]))
    return root
