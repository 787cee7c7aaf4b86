"""What a machine without mmdebstrap or bubblewrap could have, in words."""

from __future__ import annotations

from buildtool.compat.case import Case
from buildtool.compat.offers import NAMES
from buildtool.compat.options import rootfs_options
from buildtool.compat.rootfs import missing_programs
from buildtool.compat.rules import serves

PACKAGES = {"mmdebstrap": "mmdebstrap", "bwrap": "bubblewrap"}


def rootfs_words(case: Case) -> tuple[str, ...]:
    """Say which toolkits gpubuild would make itself, if its two programs were installed; () when that is no help."""
    missing = [PACKAGES[name] for name in missing_programs(case.host, case.backend)]
    wish = case.toolkit
    targets = case.targets if case.backend != "vulkan" else ()
    fitting = [
        option.version
        for option in rootfs_options(case.backend, case.platform)
        if all(serves(option, target) for target in targets) and (wish is None or wish.admits(*option.names))
    ]
    if not missing or not fitting or case.host.image is not None:
        return ()
    names = " or ".join(f"{NAMES[case.backend]} {version}" for version in fitting)
    return (f"with {' and '.join(missing)} installed, gpubuild makes {names} itself, in a private root filesystem",)
