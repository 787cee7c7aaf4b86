"""The part of a plan that a wheel carries."""

from __future__ import annotations

from compat_machines import debian

from buildtool.compat import resolve
from buildtool.compat.model import Request
from buildtool.compat.parts import plan_of_wheel


def test_the_plans_of_different_backends_make_the_same_runtime() -> None:
    cuda = resolve(Request(targets=("sm_90",)), debian())
    cpu = resolve(Request(backend="cpu"), debian())
    parts = {plan_of_wheel(plan, plan.wheels[0]).digest() for plan in (cuda, cpu)}
    assert parts == {cpu.digest()}


def test_a_backends_part_is_its_whole_plan_without_the_explanation() -> None:
    plan = resolve(Request(targets=("sm_90",)), debian())
    part = plan_of_wheel(plan, plan.wheels[1])
    assert part.digest() == plan.digest()
    assert not part.decisions
