"""Why a target cannot be built, in words."""

from __future__ import annotations

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.offers import NAMES
from buildtool.compat.rules import runs_on
from buildtool.compat.targets import Target


def target_words(case: Case, target: Target) -> str:
    """Say which toolkits know a target."""
    if case.backend in {"vulkan", "cpu"}:
        return f"The {NAMES[case.backend]} backend has no code per GPU, so {target} means nothing to it."
    if target.platform != case.backend:
        maker = "an AMD" if target.platform == "rocm" else "an NVIDIA"
        return f"{target} is {maker} target; the {NAMES[case.backend]} backend cannot serve it."
    if not runs_on(target, case.platform):
        return _foreign_words(case, target)
    if target.platform == "rocm":
        row = tables.amd_targets().get(target.chip)
        return f"{target} needs LLVM {row.llvm_min} or newer." if row and row.llvm_min else f"{target} is asked for."
    knowing = [row for row in tables.cuda_toolkits() if str(target) in row.targets]
    newest = tables.cuda_toolkits()[-1]
    if knowing[-1] is newest:
        return f"{target} needs CUDA {knowing[0].version} or newer."
    return f"{target} is known to CUDA {knowing[0].version} to {knowing[-1].version} only."


def _foreign_words(case: Case, target: Target) -> str:
    row = (tables.nvidia_targets() if target.platform == "cuda" else tables.amd_targets())[target.chip]
    machines = row.machines if isinstance(row, tables.NvidiaTarget) else ()
    where = " ".join(filter(None, ("/".join(machines), "/".join(row.systems).capitalize())))
    return f"{target} ({row.products}) is in {where} machines only: a build made on {case.platform} is of no use to it."
