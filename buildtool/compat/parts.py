"""The part of a plan that a wheel carries: what decides its content, and nothing of the machine that planned it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from buildtool.compat.model import LAUNCHERS, Plan, PlanWheel
from buildtool.compat.recipes import load_recipe

ARCHITECTURE_OPTIONS = ("CMAKE_CUDA_ARCHITECTURES", "GPU_TARGETS")


def plan_of_wheel(plan: Plan, wheel: PlanWheel) -> Plan:
    """Return the plan that makes `wheel` again.

    The explanation and the order of compiler caches are left out: they decide nothing. A local tree is named without
    its path. The runtime wheel's plan has no backend, so that every backend's plan makes one and the same runtime.
    """
    exact = msgspec.structs.replace(plan, decisions=(), launchers=LAUNCHERS)
    if plan.source.kind == "local":
        source = msgspec.structs.replace(plan.source, name=Path(plan.source.name).name, url=None)
        exact = msgspec.structs.replace(exact, source=source)
    return _of_runtime(exact, wheel) if wheel.role == "runtime" else exact


def _of_runtime(plan: Plan, wheel: PlanWheel) -> Plan:
    of_backends = {row.name for row in load_recipe(plan.recipe).options if row.backends} | {*ARCHITECTURE_OPTIONS}
    return msgspec.structs.replace(
        plan,
        backend="cpu",
        targets=(),
        toolkit=None,
        patches=(),
        runtime="pip",
        thin_vendor=msgspec.UNSET,
        cmake_options={name: value for name, value in plan.cmake_options.items() if name not in of_backends},
        wheels=(wheel,),
    )
