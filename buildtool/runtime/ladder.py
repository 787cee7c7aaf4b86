"""Which of the vendor's device code serves each target: its own, its generic target's, a sibling's, or none."""

from __future__ import annotations

from collections.abc import Iterable

from buildtool.compat.siblings import identical
from buildtool.compat.tables import amd_targets
from buildtool.errors import IncompatibleError
from buildtool.runtime.model import Rung

# Tensile pull request 1897 of March 2024: a target without tuned kernels gets the fallback ones.
REBUILD = (
    "Build rocBLAS from source for it (-DGPU_TARGETS={chip}; since March 2024 Tensile gives such targets its fallback "
    "kernels; it takes half an hour of processor time or more, and gpubuild does not do it), then --runtime "
    "system. Or use --backend vulkan."
)


def choose(
    targets: Iterable[str], held: frozenset[str], by_name: frozenset[str] | None, library: str
) -> tuple[Rung, ...]:
    """Return how each target is served.

    Args:
        targets: of the plan, with features (``gfx90a:xnack-``).
        held: processors that every library with device code has code for.
        by_name: processors that the data files are named after; None when no data is chosen by name.
        library: whose code it is, for people.

    Raises:
        IncompatibleError: a target has no rung, or two of them would need the same code under two names.
    """
    rungs = tuple(_rung(target, held, by_name, library) for target in targets)
    _refuse_shared(rungs, library)
    return rungs


def _rung(target: str, held: frozenset[str], by_name: frozenset[str] | None, library: str) -> Rung:
    chip = target.partition(":")[0]
    there = held if by_name is None else held & by_name
    if chip in there:
        return Rung(target=target, name="vendor", donor=chip, reason=f"{library} has kernels for {chip}")
    row = amd_targets().get(chip)
    generic = row.generic if row is not None else ""
    if generic and generic in held and (by_name is None or chip in by_name):
        return Rung(target=target, name="generic", donor=generic, reason=f"{library} has kernels for {generic}")
    donor = next((one for one in identical(chip) if one in there), None)
    if donor is not None:
        reason = f"{library}'s kernels for {donor}, which runs the same instructions, renamed"
        return Rung(target=target, name="sibling", donor=donor, reason=reason)
    raise _refusal(chip, there, library)


def _refusal(chip: str, held: frozenset[str], library: str) -> IncompatibleError:
    what = f"No vendor library can be bundled for {chip}: {library} has no kernels for it."
    siblings = identical(chip)
    same = f"none of {', '.join(siblings)}, which run the same instructions" if siblings else "no sibling"
    why = f"It has {' '.join(sorted(held)) or 'none'}: neither {chip} nor its generic target by name, and {same}."
    return IncompatibleError(what, why=why, hint=REBUILD.format(chip=chip))


def _refuse_shared(rungs: tuple[Rung, ...], library: str) -> None:
    """One library holds each piece of code once, so it can have one name only."""
    for rung in rungs:
        rivals = [one.target for one in rungs if one.donor == rung.donor and one.target.partition(":")[0] != rung.donor]
        others = [one.target for one in rungs if one.donor == rung.donor]
        if rivals and len({one.partition(":")[0] for one in others}) > 1:
            what = f"{library}'s kernels for {rung.donor} cannot serve {' and '.join(others)} in one bundle."
            why = "They would be needed under two names, and a bundle of libraries holds them once."
            raise IncompatibleError(what, why=why, hint=f"Build a wheel for each: --target {rivals[0]}")
