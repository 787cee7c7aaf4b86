"""Which module makes the toolkit of which server."""

from __future__ import annotations

from pathlib import Path

from buildtool.compat.model import Pin, PlanToolkit
from buildtool.compat.vendor import SERVERS
from buildtool.store.entries import Store
from buildtool.store.progress import Progress
from buildtool.toolchain.cuda_wheels import KIND as CUDA


def is_served(toolkit: PlanToolkit) -> bool:
    """Whether a toolkit comes from a vendor's server."""
    return toolkit.provider in SERVERS


def look_up(
    toolkit: PlanToolkit, platform: str, *, url: str | None = None, progress: Progress | None = None
) -> tuple[str, tuple[Pin, ...]]:
    """Return the compiler's version and the files of a toolkit whose pins are open.

    Raises:
        GpubuildError: as `look_up` of the module that makes it.
    """
    from buildtool.toolchain.vendor import redist, therock, therock_wheels

    if toolkit.provider == "redist":
        return redist.look_up(toolkit.version, platform, url=url)
    if toolkit.provider == "therock":
        return toolkit.version, therock.look_up(toolkit, platform, url=url, progress=progress)
    return toolkit.version, therock_wheels.look_up(toolkit, platform, url=url)


def assemble(
    toolkit: PlanToolkit, cc: str, *, store: Store, progress: Progress | None = None, url: str | None = None
) -> Path:
    """Return the root directory of a toolkit with pins, fetching and unpacking it first when it is not in the store.

    Raises:
        GpubuildError: as `assemble` of the module that makes it.
    """
    from buildtool.toolchain.vendor import redist, therock, therock_wheels

    if toolkit.provider == "redist":
        return redist.assemble(toolkit, cc, store=store, progress=progress, url=url).path
    made = therock if toolkit.provider == "therock" else therock_wheels
    entry = made.assemble(toolkit, store=store, progress=progress, url=url)
    return Path(entry.path, entry.facts["root"]).resolve()


def store_name(toolkit: PlanToolkit) -> str:
    """Return the name of a toolkit with pins in the store, as ``gpubuild toolchain list`` shows it."""
    from buildtool.toolchain.vendor import redist, therock, therock_wheels

    if toolkit.provider == "redist":
        return f"{CUDA}-{redist.store_key(toolkit)}"
    key = therock.store_key(toolkit) if toolkit.provider == "therock" else therock_wheels.entry_key(toolkit)
    return f"{therock.KIND}-{key}"
