"""Whose matrix kernels serve an AMD target, and how the vendor's libraries reach the machine that needs them."""

from __future__ import annotations

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.model import RuntimeMode
from buildtool.compat.options import ToolkitOption
from buildtool.compat.siblings import identical
from buildtool.compat.targets import Target
from buildtool.compat.vendor import family_targets
from buildtool.errors import IncompatibleError


def runtime_mode(case: Case, option: ToolkitOption | None) -> RuntimeMode:
    """Return how vendor libraries travel.

    Only NVIDIA's are wheels that a wheel can depend on. A ROCm that gpubuild made for itself is on no other machine, so
    its libraries travel; an installed one is expected where the wheel goes, unless bundling was asked for.
    """
    if case.request.runtime != "pip" or case.backend in {"cuda", "cpu"}:
        return case.request.runtime
    made = option is not None and option.kind == "rocm" and option.rootfs is not None
    return "bundle" if made else "system"


def thins_whole(case: Case) -> bool:
    """Whether NVIDIA's libraries, which must stay whole to be passed on, are cut down; AMD's always are."""
    return case.request.thin_vendor and case.request.runtime == "bundle" and case.backend == "cuda"


def travels(case: Case, option: ToolkitOption | None) -> bool:
    """Whether the libraries of a ROCm from a root filesystem go along, so that their kernels must fit."""
    return option is not None and option.kind == "rocm" and runtime_mode(case, option) == "bundle"


def donor_of(target: Target, kernels: tuple[str, ...]) -> str:
    """Return whose kernels serve a target: its own, or those of a processor with the same instructions; else ""."""
    if target.chip in kernels:
        return target.chip
    return next((chip for chip in identical(target.chip) if chip in kernels), "")


def require_one_name(case: Case, option: ToolkitOption | None) -> None:
    """Refuse targets that would need the same kernels under two names: a bundle of libraries holds them once.

    Raises:
        IncompatibleError: names them, and the builds that work.
    """
    if option is None or option.rootfs is None or not travels(case, option):
        return
    users: dict[str, list[str]] = {}
    for target in case.targets:
        users.setdefault(donor_of(target, option.rootfs.kernels), []).append(target.chip)
    for donor, chips in users.items():
        names = list(dict.fromkeys(chips))
        if donor and len(names) > 1:
            what = f"rocBLAS's kernels for {donor} cannot serve {' and '.join(names)} in one wheel."
            why = "They would be needed under two names, and the libraries that travel hold them once."
            builds = ", ".join(f"--target {name}" for name in names)
            hint = f"Build a wheel for each ({builds}), or take the libraries of another ROCm: --runtime system."
            raise IncompatibleError(what, why=why, hint=hint)


def has_kernels(case: Case, option: ToolkitOption, target: Target) -> bool:
    """Whether a ROCm's rocBLAS holds kernels for a target, as far as a table says.

    An installed one is not judged by a table: its files tell, and distributions add targets. That of a root filesystem
    counts when it travels; kernels of a processor with the same instructions can be given the target's name then. What
    AMD builds for a family of targets is for these.
    """
    if option.rootfs is not None:
        known = option.rootfs.kernels
        return not known or not travels(case, option) or bool(donor_of(target, known))
    place, row = option.place, option.rocm
    names = {one.name for one in tables.amd_targets().values() if one.generic == target.chip} | {target.chip}
    if option.offered is not None:
        return not names.isdisjoint(family_targets(option.offered.family))
    if place is None or row is None or target.platform != "rocm" or (place.patched and not place.kernels):
        return True
    listed = place.kernels or (row.windows if case.platform.startswith("windows") else row.rocblas)
    return not names.isdisjoint(listed)
